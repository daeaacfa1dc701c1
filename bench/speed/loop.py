"""Send each picture of a folder in a plain loop: ``python -m bench.speed.loop URL ID SECRET FOLDER THREADS``.

What an engineer writes in ten minutes: threads send the pictures with httpx and write each result beside its
picture; no cost is kept, and nothing is tried again. Prints the seconds from the first call to the last file.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

PATIENCE_SECONDS = 200


def main(arguments: Sequence[str]) -> int:
    url, api_id, api_secret, folder, threads = arguments
    pictures = sorted(Path(folder).glob("*.png"))
    client = httpx.Client(auth=(api_id, api_secret), timeout=PATIENCE_SECONDS, trust_env=False)

    def cut_out(picture: Path) -> None:
        with picture.open("rb") as file:
            answer = client.post(f"{url}/api/v2/remove-background", files={"image": file})
        picture.with_suffix(".cut-out").write_bytes(answer.raise_for_status().content)

    with client, ThreadPoolExecutor(int(threads)) as pool:
        started = time.perf_counter()
        list(pool.map(cut_out, pictures))
        sys.stdout.write(f"{time.perf_counter() - started}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
