"""The verdict on the memory of a process: level, growing, replaced; and what is measured of a real one."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest

from chaos import memory
from chaos.memory import Figure, Sample, samples_of
from chaos.notes import Notes

HOURS = 2
SAMPLES = 600


def run(
    rss: Sequence[float], pids: int = 1, others: Mapping[str, Sequence[int]] | None = None
) -> list[Sample]:
    """Return samples of a process over two hours. rss: in megabytes, at even intervals."""
    counted = {"descriptors": [40] * len(rss), "connections": [3] * len(rss)} | dict(others or {})
    return [
        Sample(
            at=number * HOURS * 3600 / len(rss),
            name="worker",
            pid=number * pids // len(rss),
            rss=round(each * 1024),
            descriptors=counted["descriptors"][number],
            threads=12,
            connections=counted["connections"][number],
        )
        for number, each in enumerate(rss)
    ]


def wrong(samples: list[Sample]) -> list[str]:
    return list(memory.wrong("worker", samples))


def test_a_process_that_only_warms_up_is_fine() -> None:
    noise = Random(1)
    warm = [min(200, 120 + number) + noise.uniform(-5, 5) for number in range(SAMPLES)]
    assert wrong(run(warm)) == []


def test_a_leak_is_noticed() -> None:
    """It is 20 MB an hour, of a process of 150 MB."""
    assert wrong(run([150 + 40 * number / SAMPLES for number in range(SAMPLES)])) == [
        "worker grew by 11% in the second half, from 170.0 to 188.0 MB"
    ]


def test_a_peak_is_no_growth() -> None:
    assert wrong(run([150] * (SAMPLES - 20) + [400] * 10 + [150] * 10)) == []


@pytest.mark.parametrize("what", ["descriptors", "connections"])
def test_what_is_opened_and_not_closed_is_noticed(what: str) -> None:
    opened = [10 + number // 20 for number in range(SAMPLES)]
    (said,) = wrong(run([150] * SAMPLES, others={what: opened}))
    assert f"{what} in the middle" in said


def test_a_process_that_was_replaced_is_noticed() -> None:
    assert wrong(run([150] * SAMPLES, pids=2)) == ["worker didn't live through the run"]


def test_a_figure_has_its_parts_and_its_growth_an_hour() -> None:
    figure = Figure.of([(float(second), second) for second in range(0, 7201, 10)])
    assert (figure.start, figure.middle, figure.end, figure.most) == (1080, 3600, 6840, 7200)
    assert figure.per_hour == pytest.approx(3600)
    assert figure.growth == pytest.approx(0.9)


GROWS = """
import sqlite3, sys
print(flush=True)
input()
connection = sqlite3.connect(sys.argv[1])
connection.execute("CREATE TABLE some (one)")
kept = b"x" * 30_000_000
print(flush=True)
input()
"""


def test_a_real_process_is_measured(tmp_path: Path) -> None:
    """It isn't this process, in which memory that other tests have left is taken again."""
    database = tmp_path / "db.sqlite3"
    command = [sys.executable, "-c", GROWS, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        samples = []
        for at in range(2):
            process.stdout.readline()
            samples.append(memory.sample(at, "it", process.pid, database))
            process.stdin.write(b"\n")
            process.stdin.flush()
    before, after = samples
    assert before
    assert after
    assert before.threads > 0
    assert after.rss - before.rss > 25_000
    assert (before.connections, after.connections) == (0, 1)
    assert after.descriptors > before.descriptors


def test_connections_to_a_port_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            measured = memory.sample(0, "own", os.getpid(), port)
    assert measured
    assert measured.connections == 1


def test_a_process_that_is_gone_has_no_sample() -> None:
    assert memory.sample(0, "gone", 2**22 + 1, 1) is None


def test_samples_are_read_back_by_process(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "samples")
    one, other = run([150, 151])
    for sample in (one, other):
        notes.note(**asdict(sample))
    assert samples_of(["worker", "web"], notes) == {"worker": [one, other], "web": []}
