"""``python -m bench.speed.engine --rembg VENV``: compares the embedded engine with ``rembg s``.

Both servers use the same weights and photos. They run at the same time but work in turns (A-B-A-B), so that
other load on the machine affects both. Prints images per minute with 1, 2 and 5 connections, each server's
peak memory and its growth over many calls, and a large photo's time by step.
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
    """Measure and print; return the exit status."""
    options = _parse_arguments(arguments)
    config = Config.from_env()
    pictures = [path.read_bytes() for path in sorted(dataset.PHOTOS.glob("*.jpg"))]
    with ExitStack() as running:
        all_servers = [running.enter_context(servers.ours(options.model, config.models_dir))]
        if options.rembg:
            python = baseline.python_of(options.rembg)
            all_servers.append(running.enter_context(servers.theirs(python, config.models_dir)))
        for line in _rates(all_servers, pictures, options.repeats, options.images):
            _print(line)
        for server in all_servers:
            _print(_growth(server, pictures, options.calls))
    model = models.find(options.model, config.models_dir)
    loaded = inference.load(model.path(config.models_dir), dataset.CACHE / "engine", bfloat16=model.bfloat16)
    # The time-out is irrelevant: calls are made one at a time, so none has to wait.
    remover = BackgroundRemover(Matting(model, loaded), 1_000_000, timeout=60)
    for megapixels in (12, 25):
        for line in steps.lines(remover, megapixels, options.repeats):
            _print(line)
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
    """Return a line with the server's memory after a few calls and after many more."""
    _images_per_minute(server, pictures, 2, WARM_UP)
    before = server.resident_bytes()
    _images_per_minute(server, pictures, 2, calls)
    after = server.resident_bytes()
    return (
        f"{server.name}: peak {server.peak_bytes / 1e6:.0f} MB; {before / 1e6:.0f} MB before {calls} calls, "
        f"{after / 1e6:.0f} MB after, {after / before - 1:+.1%}"
    )


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.engine", description=__doc__)
    parser.add_argument("--rembg", default=os.environ.get("REMBG_PYTHON"), help="rembg's venv, or its Python")
    parser.add_argument("--model", default="standard", help="name of the engine's network")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of A-B")
    parser.add_argument("--images", type=int, default=20, help="pictures in a round")
    parser.add_argument("--calls", type=int, default=300, help="calls over which memory may grow")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
