"""Measure R1 and R2, the whole pipeline beside a plain loop: ``python -m bench.speed.pipeline``.

Both make 200 calls in 5 threads, in turns (A-B-A-B), and are timed from the first call to the last result:
a file for the loop, a booked and finished job for the worker, which commits each call four times and syncs
each result to the disk. The start of the processes isn't timed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from PIL import Image

from chaos import upstream
from chaos.upstream import Server
from engine.config import ROOT

THREADS = 5
DELAYS = (0.5, 0.05)
AIMS = {0.5: 1.05, 0.05: 1.2}
JOBS_PER_SECOND_AIM = 150


def main(arguments: Sequence[str]) -> int:
    options = _parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="b") as name, ExitStack() as running:
        folder = Path(name)
        pictures = _pictures(folder / "pictures", options.jobs)
        for delay in (*DELAYS, 0):
            log = folder / f"{delay}.log"
            stub = running.enter_context(upstream.running(log, delay=delay, fsync=False))
            ours, theirs = [], []
            for _ in range(options.repeats):
                ours.append(_pipeline(folder / "data", stub, pictures))
                theirs.append(_loop(stub, pictures))
            sys.stdout.write(f"{_line(delay, options.jobs, ours, theirs)}\n")
            sys.stdout.flush()
    return 0


def _line(delay: float, jobs: int, ours: Sequence[float], theirs: Sequence[float]) -> str:
    if delay:
        ratio = median(ours) / median(theirs)
        return (
            f"R1 pipeline, {jobs} jobs, {THREADS} threads, upstream {1000 * delay:.0f} ms: {_seconds(ours)}; "
            f"plain loop {_seconds(theirs)}; ratio {ratio:.3f}, aim {AIMS[delay]} at most"
        )
    return (
        f"R2 pipeline, {jobs} jobs, {THREADS} threads, upstream 0 ms: {_rates(jobs, ours)} jobs/s, aim "
        f"{JOBS_PER_SECOND_AIM} at least; plain loop {_rates(jobs, theirs)}"
    )


def _pictures(folder: Path, count: int) -> Path:
    """Write this many small pictures, no two alike."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (400, 300), (number % 256, number // 256, 90)).save(folder / f"{number:05}.png")
    return folder


def _pipeline(data: Path, stub: Server, pictures: Path) -> float:
    return _printed("bench.speed.queued", [str(pictures), str(THREADS)], _settings(data, stub))


def _loop(stub: Server, pictures: Path) -> float:
    credentials = [stub.credentials.api_id, stub.credentials.api_secret]
    return _printed("bench.speed.loop", [stub.url, *credentials, str(pictures), str(THREADS)], {})


def _printed(module: str, arguments: Sequence[str], settings: dict[str, str]) -> float:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def _settings(data: Path, stub: Server) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
        "DATA_DIR": str(data),
        "PIXIAN_API_URL": stub.url,
        "PIXIAN_API_ID": stub.credentials.api_id,
        "PIXIAN_API_SECRET": stub.credentials.api_secret,
        "LOG_LEVEL": "WARNING",
    }


def _rates(jobs: int, times: Sequence[float]) -> str:
    return f"{jobs / median(times):.0f} ({jobs / max(times):.0f} to {jobs / min(times):.0f})"


def _seconds(times: Sequence[float]) -> str:
    return f"{median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.pipeline", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=200)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
