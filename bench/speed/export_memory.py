"""``python -m bench.speed.export_memory``: the memory of a web process that streams a million rows of CSV.

Fills a database that is thrown away, streams the statement and the history of its large team, each in a
process of its own, and prints the most memory that it had after so many rows.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from chaos.environment import built

EXPORTS = ("statement_csv", "history_csv")
MARKS = (1_000, 100_000, 1_000_000)
JOBS = 1_200_000
"""Of which the team has six sevenths."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.export_memory", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--keep", action="store_true", help="leave the folder behind, and print its name")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with built(options, settings={"LOG_LEVEL": "ERROR"}) as environment:
        environment.set_up()
        import_module("bench.speed.many_rows.fill").fill(options.jobs)
        import_module("django.db").connections.close_all()
        fork = multiprocessing.get_context("fork")
        exports = [fork.Process(target=measure, args=[name]) for name in EXPORTS]
        for export in exports:
            export.start()
        for export in exports:
            export.join()
    return 0


def measure(name: str) -> None:
    """Stream one export as far as the last mark, and print the memory at each."""
    began, rows, marks = time.perf_counter(), 0, list(MARKS)
    for block in content(name):
        rows += block.count(b"\n")
        if rows < marks[0]:
            continue
        mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.perf_counter() - began
        sys.stdout.write(f"{name}: {rows:9,} rows, at most {mebibytes:.1f} MiB, {seconds:.0f} s\n")
        sys.stdout.flush()
        marks.pop(0)
        if not marks:
            return


def content(name: str) -> Iterator[bytes]:
    """Yield the blocks of an export as the server would send them."""
    client: Any = import_module("django.test").Client(headers={"host": "localhost"})
    owners, models = import_module("bench.speed.many_rows.owners"), import_module("accounts.models")
    client.force_login(models.User.objects.get(email=owners.EMAIL))
    team = models.Team.objects.get(name=owners.TEAM)
    response = client.get(import_module("django.urls").reverse(name, args=[team.slug]))
    yield from response.streaming_content


if __name__ == "__main__":
    sys.exit(main())
