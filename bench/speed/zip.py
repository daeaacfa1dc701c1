"""Measure R8: a batch of 500 results as a ZIP from the web process, to ``zip -0`` over the same files.

``python -m bench.speed.zip`` starts the web process as the Procfile does and downloads with curl to a file,
in turns with ``zip -0``, which reads the files on the same disk. It prints the ratio of the rates, the time
to the first byte, and how much more memory the process had while it sent.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.speed.servers import Server
from engine.config import ROOT
from tests.site import web_alone

AIM, AIM_FIRST_MS, AIM_MEGABYTES = 0.7, 300, 30
PROGRAMS = "curl", "unzip", "zip"


def main(arguments: Sequence[str]) -> int:
    given = _parsed(arguments)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.stdout.write(f"R8 LEFT OUT: install {' and '.join(missing)} first\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="b", dir=given.folder) as name:
        folder = Path(name)
        with web_alone.running(folder / "data") as web:
            server, cookies = Server("web", web.pid, len), web.sign_in()
            made = [sys.executable, "-m", "bench.speed.zip_rows", str(given.count), str(given.bytes)]
            address = web.url + _output(made, web.env).strip().splitlines()[-1]
            files = next(
                path for path in (folder / "data/files").iterdir() if path.is_dir() and path.name[0] != "."
            )
            _download(address, cookies, folder / "warm.zip")
            rounds, grown = [], []
            for _ in range(given.repeats):
                before = server.peak_bytes = server.resident_bytes()
                with server.watched():
                    ours, first = _download(address, cookies, folder / "ours.zip")
                grown.append(server.peak_bytes - before)
                theirs = _zip(files, folder / "theirs.zip")
                rounds.append((ours, theirs, first))
            _output(["unzip", "-tqq", str(folder / "ours.zip")], web.env)
            sys.stdout.write(_line(given, rounds, grown))
    return 0


def _line(given: argparse.Namespace, rounds: list[tuple[float, float, float]], grown: list[int]) -> str:
    ratios = [theirs / ours for ours, theirs, _first in rounds]
    firsts = [1000 * first for *_times, first in rounds]
    rate = given.count * given.bytes / 1e6 / median(ours for ours, _theirs, _first in rounds)
    return (
        f"R8 ZIP of {given.count} results of {given.bytes / 1e6:.1f} MB, {rate:.0f} MB/s: "
        f"{median(ratios):.2f} of zip -0 ({min(ratios):.2f} to {max(ratios):.2f}), aim {AIM}; first byte "
        f"{median(firsts):.0f} ms ({min(firsts):.0f} to {max(firsts):.0f}), aim {AIM_FIRST_MS}; "
        f"memory +{median(grown) / 1e6:.0f} MB (+{min(grown) / 1e6:.0f} to +{max(grown) / 1e6:.0f}), "
        f"aim {AIM_MEGABYTES}\n"
    )


def _download(address: str, cookies: str, file: Path) -> tuple[float, float]:
    """Return the seconds of a download, and those to its first byte."""
    command = [
        "curl",
        "-sS",
        "--fail",
        "-b",
        cookies,
        "-o",
        str(file),
        "-w",
        "%{time_total} %{time_starttransfer}",
    ]
    total, first = _output([*command, address], os.environ.copy()).split()
    return float(total), float(first)


def _zip(files: Path, file: Path) -> float:
    file.unlink(missing_ok=True)
    started = time.perf_counter()
    subprocess.run(["zip", "-0", "-q", "-r", str(file), "."], cwd=files, check=True)  # noqa: S603, S607
    return time.perf_counter() - started


def _output(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return done.stdout


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.zip", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--folder", help="on the disk to measure; by default the system's temporary folder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
