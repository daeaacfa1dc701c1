"""``python -m bench.speed.engine --rembg VENV``: the embedded engine beside ``rembg s``, the same weights and
photos.

Both servers run; only one works at a time, in turns (A-B-A-B), so that what else the machine does falls on
both. Prints images per minute with 1, 2 and 5 connections, each server's peak memory, how it grows over
many calls, and where a large photo's time goes.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice

import numpy as np

from bench.quality import baseline, dataset
from bench.speed import servers, steps
from bench.speed.servers import Server
from engine.config import Config
from engine.models import catalog as models
from engine.pipeline import inference
from engine.pipeline.cutout import BackgroundRemover
from engine.pipeline.matting import Matting

CONNECTIONS = (1, 2, 5)
WARM_UP = 10


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit status."""
    given = _parsed(arguments)
    config = Config.from_env()
    pictures = [path.read_bytes() for path in sorted(dataset.PHOTOS.glob("*.jpg"))]
    with ExitStack() as running:
        all_servers = [running.enter_context(servers.ours(given.model, config.models_dir))]
        if given.rembg:
            python = baseline.python_of(given.rembg)
            all_servers.append(running.enter_context(servers.theirs(python, config.models_dir)))
        for line in _rates(all_servers, pictures, given.repeats, given.images):
            _say(line)
        for server in all_servers:
            _say(_growth(server, pictures, given.calls))
    model = models.find(given.model, config.models_dir)
    loaded = inference.load(model.path(config.models_dir), dataset.CACHE / "engine")
    # The queue's time-out, which nobody waits for here.
    cutter = BackgroundRemover(Matting(model, loaded), 1_000_000, timeout=60)
    for megapixels in (12, 25):
        for line in steps.lines(cutter, megapixels, given.repeats):
            _say(line)
    return 0


def _rates(
    all_servers: Sequence[Server], pictures: Sequence[bytes], repeats: int, images: int
) -> Iterator[str]:
    measured: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(repeats):
        for connections in CONNECTIONS:
            for server in all_servers:
                rate = _images_per_minute(server, pictures, connections, images)
                measured[server.name, connections].append(rate)
    yield f"Images per minute, {repeats} rounds of {images}: median (range)"
    for connections in CONNECTIONS:
        cells = (measured[server.name, connections] for server in all_servers)
        texts = (f"{np.median(all_of):5.0f} ({min(all_of):.0f} to {max(all_of):.0f})" for all_of in cells)
        names = (f"{server.name} {text:20}" for server, text in zip(all_servers, texts, strict=True))
        yield f"    {connections} connections: " + "  ".join(names)


def _images_per_minute(server: Server, pictures: Sequence[bytes], connections: int, images: int) -> float:
    with server.watched(), ThreadPoolExecutor(connections) as pool:
        started = time.perf_counter()
        list(pool.map(server.cut_out, islice(cycle(pictures), images)))
        return 60 * images / (time.perf_counter() - started)


def _growth(server: Server, pictures: Sequence[bytes], calls: int) -> str:
    """Memory after a few calls, and after many more."""
    _images_per_minute(server, pictures, 2, WARM_UP)
    before = server.resident_bytes()
    _images_per_minute(server, pictures, 2, calls)
    after = server.resident_bytes()
    return (
        f"{server.name}: peak {server.peak_bytes / 1e6:.0f} MB; {before / 1e6:.0f} MB before {calls} calls, "
        f"{after / 1e6:.0f} MB after, {after / before - 1:+.1%}"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.engine", description=__doc__)
    parser.add_argument("--rembg", default=os.environ.get("REMBG_PYTHON"), help="rembg's venv, or its Python")
    parser.add_argument("--model", default="standard", help="name of the engine's network")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of A-B")
    parser.add_argument("--images", type=int, default=20, help="pictures in a round")
    parser.add_argument("--calls", type=int, default=300, help="calls over which memory may grow")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
