"""Measure what capacity is computed from: ``python -m bench.speed.capacity WHAT --database DATABASE``.

``picture``: processor time, statements and rows that a picture costs. ``files``: its bytes. ``rows``:
transactions a second that the rows bear which all processes lock. ``queue``: a queue that many processes
serve, beside its simulation.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from chaos import servers, upstream
from chaos.environment import Environment
from chaos.servers import free_port

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
ROOMY = {"max_connections": "500", "shared_buffers": "512MB", "max_wal_size": "4GB"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.capacity", description=__doc__)
    parser.add_argument("what", nargs="+", choices=["picture", "queue", "rows", "files"])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--pictures", type=int, default=200, help="by each way")
    parser.add_argument("--seconds", type=float, default=5, help="for each figure")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 8, 32], help="at once")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds of the upstream")
    parser.add_argument("--jobs", type=int, default=100_000, help="in the queue")
    parser.add_argument("--times", type=int, default=10, help="how much of what usually runs here")
    options = parser.parse_args()
    with built(options) as environment:
        environment.set_up()
        # Imports Django's models, which need the settings of this environment.
        import_module("bench.speed.capacity.scene").run(environment, options)
    return 0


@contextmanager
def built(options: argparse.Namespace) -> Iterator[Environment]:
    """Build an environment whose database syncs each commit to the disk, and take it down afterwards."""
    with tempfile.TemporaryDirectory(prefix="b") as name, ExitStack() as ends:
        folder = Path(name)
        (folder / "data").mkdir()
        stub = ends.enter_context(upstream.running(folder / "log", delay=options.delay, fsync=False))
        settings = {
            "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
            "DATA_DIR": str(folder / "data"),
            "PORT": str(free_port()),
            "PIXIAN_API_URL": stub.url,
            "PIXIAN_API_ID": stub.credentials.api_id,
            "PIXIAN_API_SECRET": stub.credentials.api_secret,
            "CALLS_AT_START": "100",
            "API_CALLS_PER_KEY": "1000000",  # counted, and never passed
            "API_CALLS_PER_TEAM": "1000000",
            "LOG_LEVEL": "WARNING",
        }
        postgres = None
        if options.database == "postgresql":
            postgres = ends.enter_context(servers.postgres(DURABLE | ROOMY))
            settings["DATABASE_URL"] = postgres.url
        yield Environment(folder, stub, postgres, None, settings)


if __name__ == "__main__":
    sys.exit(main())
