"""Measure R3, the time that the gateway adds to a call straight to the upstream.

``python -m bench.speed.gateway`` starts a stub that answers after half a second, and sends it the same number
of calls, directly and through the gateway in turns, over 1, 5 and 20 connections. In between, the gateway
stores, holds, sends, records, stores again and books, on SQLite and a real disk. The time added is the
difference of the medians, and of the 99th percentiles.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import httpx

from chaos import upstream
from pixian.protocol.credentials import Credentials
from tests.site.instance import Instance, running

CONNECTIONS = (1, 5, 20)
DELAY_SECONDS = 0.5
AIM_MS = 10, 35
PATIENCE_SECONDS = 200


@dataclass(frozen=True)
class Way:
    """A server of the contract, with its credentials."""

    url: str
    credentials: Credentials


def main(arguments: Sequence[str]) -> int:
    given = _parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="b") as name:
        folder = Path(name)
        with upstream.running(folder / "log", delay=given.delay, fsync=False) as stub:
            straight = Way(stub.url, stub.credentials)
            with running(folder / "data", **_settings(stub)) as instance:
                through = _opened(instance)
                for connections in CONNECTIONS:
                    sys.stdout.write(_line(connections, given, through, straight))
                    sys.stdout.flush()
    return 0


def _line(connections: int, given: argparse.Namespace, through: Way, straight: Way) -> str:
    for way in (through, straight):
        _calls(way, connections, connections, given.picture)
    rounds = [
        tuple(_calls(way, connections, given.calls, given.picture) for way in (through, straight))
        for _ in range(given.repeats)
    ]
    added = [[1000 * (cut(ours) - cut(theirs)) for ours, theirs in rounds] for cut in (median, _p99)]
    p50, p99 = (f"{median(ms):.1f} ms ({min(ms):.1f} to {max(ms):.1f})" for ms in added)
    base = 1000 * median(time for _ours, theirs in rounds for time in theirs)
    return (
        f"R3 gateway, {connections} connections, upstream {base:.0f} ms: adds p50 {p50}, aim {AIM_MS[0]}; "
        f"p99 {p99}, aim {AIM_MS[1]}\n"
    )


def _calls(way: Way, connections: int, calls: int, picture: Path) -> list[float]:
    """Return the seconds that each call took."""
    content = picture.read_bytes()

    def one(share: int) -> list[float]:
        auth = (way.credentials.api_id, way.credentials.api_secret)
        with httpx.Client(base_url=way.url, auth=auth, timeout=PATIENCE_SECONDS, trust_env=False) as http:
            return [_timed(http, content) for _ in range(share)]

    with ThreadPoolExecutor(connections) as pool:
        return [seconds for times in pool.map(one, [calls // connections] * connections) for seconds in times]


def _timed(http: httpx.Client, content: bytes) -> float:
    started = time.perf_counter()
    http.post("/api/v2/remove-background", files={"image": ("a.jpg", content)}).raise_for_status()
    return time.perf_counter() - started


def _p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100, method="inclusive")[-1]


def _opened(instance: Instance) -> Way:
    options = ["--owner", "bench@example.org", "--credits", "1000000", "--api-key", "bench"]
    made = json.loads(instance.manage("setup_team", "Bench", *options))
    return Way(instance.url, Credentials(made["api_id"], made["api_secret"]))


def _settings(stub: upstream.Server) -> dict[str, str]:
    return {
        "PIXIAN_API_URL": stub.url,
        "PIXIAN_API_ID": stub.credentials.api_id,
        "PIXIAN_API_SECRET": stub.credentials.api_secret,
        "CALLS_AT_START": "100",
        "API_CALLS_PER_KEY": "1000000",  # counted, and never passed
        "API_CALLS_PER_TEAM": "1000000",
        "LOG_LEVEL": "WARNING",
    }


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.gateway", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--delay", type=float, default=DELAY_SECONDS)
    parser.add_argument("--picture", type=Path, default=Path("engine/tests/photos/chelsea.jpg"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
