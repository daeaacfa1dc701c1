"""Measure R8: a batch of 500 results as a ZIP from the web process, to ``zip -0`` over the same files.

``python -m bench.speed.zip`` starts the web process as the Procfile does and downloads with curl to a file,
in turns with ``zip -0``, which reads the files on the same disk. It prints the ratio of the rates, the time
to the first byte, and how much more memory the process had while it sent.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from bench.speed.servers import Server
from chaos.servers import free_port
from engine.config import ROOT

AIM, AIM_FIRST_MS, AIM_MEGABYTES = 0.7, 300, 30
PATIENCE_SECONDS = 60
PROGRAMS = "curl", "unzip", "zip"


def main(arguments: Sequence[str]) -> int:
    given = _parsed(arguments)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.stdout.write(f"R8 LEFT OUT: install {' and '.join(missing)} first\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="b", dir=given.folder) as name:
        folder = Path(name)
        with web(folder / "data") as (server, url, environment):
            cookies = sign_in(url, environment)
            made = [sys.executable, "-m", "bench.speed.zip_rows", str(given.count), str(given.bytes)]
            address = url + _output(made, environment).strip().splitlines()[-1]
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
            _output(["unzip", "-tqq", str(folder / "ours.zip")], environment)
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


@contextmanager
def web(data_dir: Path) -> Iterator[tuple[Server, str, dict[str, str]]]:
    """Start a fresh instance's web process alone."""
    port = free_port()
    environment = os.environ | {"DATA_DIR": str(data_dir), "PORT": str(port), "LOG_LEVEL": "WARNING"}
    environment["DJANGO_SETTINGS_MODULE"] = "pixian_web.settings"
    _output([sys.executable, "manage.py", "prepare"], environment)
    command = [sys.executable, "-m", "gunicorn", "-c", "pixian_web/gunicorn.py", "pixian_web.wsgi"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(url)
            yield Server("web", process.pid, len), url, environment
        finally:
            process.terminate()


def _wait_until_up(url: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            return httpx.get(f"{url}/healthz", trust_env=False).raise_for_status().close()
        except httpx.HTTPError:
            time.sleep(0.1)
    raise TimeoutError(url)


def sign_in(url: str, environment: dict[str, str]) -> str:
    """Return the cookies of a person who is signed in."""
    link = _output([sys.executable, "manage.py", "login_link", "owner@localhost"], environment)
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        found = re.search(r"/\S+", link.strip().removeprefix("http:/").removeprefix("/"))
        client.get(url + (found.group() if found else "")).raise_for_status()
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


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
