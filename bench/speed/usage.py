"""``python -m bench.speed.usage [--jobs 1000000]``: R10's first half, a usage chart from the roll-up.

On both databases, each a new one: the roll-up is recomputed over all attempts, must then be what a GROUP BY
over the transfers says, to the micro-credit, and is timed beside it. A median above 50 ms for 90 days from
the roll-up is a failure. Run it by hand on a quiet machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chaos.servers import postgres

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.usage", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    jobs = parser.parse_args(arguments).jobs
    sys.stdout.write("\nUsage chart (R10)\n\n")
    sys.stdout.flush()
    on_sqlite = _run(jobs)
    with postgres() as server:
        return max(on_sqlite, _run(jobs, DATABASE_URL=server.url))


def _run(jobs: int, **settings: str) -> int:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        settings |= {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
        command = [sys.executable, "-m", "bench.speed.usage_rows", str(jobs)]
        return subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
