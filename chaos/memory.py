"""The memory of processes over time, and the verdict on those that live through a whole run.

A process must not grow once it is warm: the medians of the middle and of the last tenth of its life are
compared, so that neither a peak nor the caches that fill at first decide.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from chaos.notes import Notes
from chaos.process import children, status

MAY_GROW = 0.10  # of the memory in the middle of the run, until its end
MAY_GAIN = 8
"""File descriptors, threads or connections: their number changes with what is asked at the moment."""

START, MIDDLE, END = (0.10, 0.20), (0.45, 0.55), (0.90, 1.0)
"""Parts of the run. Before the first one, processes warm up."""

MEGABYTE = 1024  # in kilobytes
ESTABLISHED = "01"
FIGURES = ("rss", "descriptors", "threads", "connections")


@dataclass(frozen=True)
class Sample:
    """A process at one moment. rss: kilobytes. at: seconds since the run began."""

    at: float
    name: str
    pid: int
    rss: int
    descriptors: int
    threads: int
    connections: int


def sample(at: float, name: str, pid: int, database: Path | int) -> Sample | None:
    """Measure a process; None if it is gone. database: SQLite's file, or PostgreSQL's port."""
    process, opened = Path(f"/proc/{pid}"), []
    try:
        rss, threads = (status(pid, what) for what in ("VmRSS", "Threads"))
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                opened.append(str(descriptor.readlink()))
        connections = _connections(process, opened, database)
    except OSError:
        return None
    return Sample(round(at, 1), name, pid, rss, len(opened), threads, connections)


def processes(name: str, pid: int) -> Iterator[tuple[str, int]]:
    """Name the process, and those that work for it: gunicorn's master has children that serve."""
    serving = children(pid)
    yield (f"{name} master" if serving else name), pid
    for number, child in enumerate(serving):
        yield (f"{name}.{number}" if number else name), child


def _connections(process: Path, opened: list[str], database: Path | int) -> int:
    if isinstance(database, Path):
        return opened.count(str(database))
    sockets = set()
    for line in (process / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == database and fields[3] == ESTABLISHED:
            sockets.add(f"socket:[{fields[9]}]")
    return sum(target in sockets for target in opened)


def samples_of(names: Iterable[str], notes: Notes) -> dict[str, list[Sample]]:
    """Return the samples of each process, in order."""
    taken = [Sample(**said) for said in notes.read()]
    return {name: [each for each in taken if each.name == name] for name in names}


@dataclass(frozen=True)
class Figure:
    """A figure at the start, in the middle and at the end of a run, the most that it was, and its growth.

    growth: of the middle's, until the end. per_hour: from the middle to the end.
    """

    start: float
    middle: float
    end: float
    most: float
    per_hour: float

    @classmethod
    def of(cls, pairs: list[tuple[float, int]]) -> "Figure":
        first, last = pairs[0][0], pairs[-1][0]
        length = max(last - first, 1e-9)

        def typical(part: tuple[float, float]) -> float:
            begin, end = (first + length * share for share in part)
            inside = [value for at, value in pairs if begin <= at <= end]
            return median(inside or [pairs[-1][1]])

        start, middle, end = map(typical, (START, MIDDLE, END))
        apart = length * (sum(END) - sum(MIDDLE)) / 2
        return cls(start, middle, end, max(value for _, value in pairs), (end - middle) / apart * 3600)

    @property
    def growth(self) -> float:
        return self.end / self.middle - 1 if self.middle else 0.0


def figures(samples: list[Sample]) -> dict[str, Figure]:
    return {name: Figure.of([(each.at, getattr(each, name)) for each in samples]) for name in FIGURES}


def wrong(name: str, samples: list[Sample]) -> Iterator[str]:
    """Name the ways in which a process that nobody harmed grew, or that it was replaced."""
    if len({each.pid for each in samples}) != 1:
        yield f"{name} didn't live through the run"
        return
    found = figures(samples)
    rss = found.pop("rss")
    if rss.growth > MAY_GROW:
        sizes = f"from {rss.middle / MEGABYTE:.1f} to {rss.end / MEGABYTE:.1f} MB"
        yield f"{name} grew by {rss.growth:.0%} in the second half, {sizes}"
    for counted, figure in found.items():
        if figure.end > figure.middle + MAY_GAIN:
            yield f"{name} had {figure.middle:.0f} {counted} in the middle and {figure.end:.0f} at the end"


def report(name: str, samples: list[Sample]) -> Iterator[str]:
    """Describe a process, a line for each figure."""
    for what, figure in figures(samples).items():
        unit, scale, digits = (" MB", MEGABYTE, 1) if what == "rss" else ("", 1, 0)
        values = (figure.start, figure.middle, figure.end, figure.most, figure.per_hour)
        start, middle, end, most, per_hour = (f"{value / scale:8.{digits}f}" for value in values)
        yield (
            f"{name:12} {what:12} start{start}, middle{middle}, end{end}, most{most}{unit}; "
            f"second half {figure.growth:+.1%}, {per_hour.strip()}{unit} an hour"
        )
