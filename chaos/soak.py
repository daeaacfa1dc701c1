"""``python -m chaos.soak [--seed N]``: the long forms of all chaos, one after another, one seed.

What each prints is shown as it comes, and the chaos' own last lines once more at the end. Exit status
1 where one of them failed. Takes hours; the same seed replays it, as far as a machine's timing allows.
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

DATABASES = ("sqlite", "postgresql")
LONG_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("crash", ("--every", "1", "--chains", "20")),
    ("crash", ("--every", "1", "--freeze")),
    ("kills", ("--kills", "3000", "--scale", "1")),
    ("kills", ("--gateway", "--kills", "1000", "--scale", "1")),
    ("database", ("--kills", "100")),
    ("leases", ("--rounds", "100")),
)
ON_POSTGRESQL_ALONE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kills", ("--celery", "--kills", "300", "--scale", "1")),
    ("broker", ("--kills", "100")),
    ("connections", ("--seconds", "300", "--restart")),
)
ON_SQLITE_ALONE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("timeouts", ()),
    ("slow", ()),
    ("slow", ("--processes", "2", "--connections", "80")),  # more than the control has threads
    ("shares", ("--seconds", "60")),
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - printed, to replay
    seed = parser.parse_args(arguments).seed
    _say(f"seed {seed}")
    lines, failed = [], 0
    for experiment, options in _all():
        started = time.monotonic()
        code, last = _run(experiment, (*options, "--seed", str(seed)))
        failed += code != 0
        lines.append(f"{'ok    ' if code == 0 else 'FAILED'} {time.monotonic() - started:6.0f} s  {last}")
    _say("\n".join(["", *lines]))
    return min(failed, 1)


def _all() -> Iterator[tuple[str, tuple[str, ...]]]:
    for experiment, options in LONG_FORMS:
        for database in DATABASES:
            yield experiment, (*options, "--database", database)
    for experiment, options in ON_POSTGRESQL_ALONE:
        yield experiment, (*options, "--database", "postgresql")
    for experiment, options in ON_SQLITE_ALONE:
        yield experiment, (*options, "--database", "sqlite")


def _run(experiment: str, options: Sequence[str]) -> tuple[int, str]:
    """How it ended, and the last line that it printed."""
    command = [sys.executable, "-m", f"chaos.{experiment}", *options]
    _say(f"\n$ python -m chaos.{experiment} {' '.join(options)}")
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        for line in process.stdout or ():
            _say(line.rstrip())
            last = line.strip() or last
    return process.returncode, last or experiment


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
