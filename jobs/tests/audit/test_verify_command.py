"""``manage.py verify``: what it prints, and its exit status."""

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from conftest import World
from jobs.audit.verify import INVARIANTS
from jobs.models import Job, Verification
from jobs.tests.upstream import Server, run


def verify(*arguments: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines."""
    out = io.StringIO()
    status = 0
    try:
        call_command("verify", *arguments, stdout=out)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue().splitlines()


@pytest.fixture
def result(world: World, server: Server) -> Path:
    """Return the file of the only job's result."""
    world.job()
    run(server)
    return Path(Job.objects.get().result.path)


def test_all_in_order(result: Path) -> None:
    status, lines = verify()
    assert status == 0
    assert lines[0] == "Checking the books and the list of files. Every stored result is read."
    # In the order in which they are checked: the books, then the files.
    assert [line.split("  ")[-1] for line in lines[1:-1]] == [
        f"{INVARIANTS[number][0]}: ok" for number in (1, 2, 3, 4, 7, 8, 9, 10, 5, 6)
    ]
    assert lines[-1].startswith("Findings: 0, in ")
    assert Verification.objects.get().findings == []


def test_a_finding_is_printed_and_ends_with_1(result: Path) -> None:
    result.write_bytes(b"other")
    status, lines = verify()
    assert status == 1
    title, _find = INVARIANTS[5]
    place = lines.index(f" 5  {title}: 1")
    assert "isn't what came from the upstream" in lines[place + 1]
    assert lines[-1].startswith("Findings: 1, in ")
    assert len(Verification.objects.get().findings) == 1


def test_quick_does_not_read_the_results(result: Path) -> None:
    result.write_bytes(b"other")
    status, lines = verify("--quick")
    assert status == 0
    assert not [line for line in lines if line.startswith(" 5")]


def test_the_due_results_alone_are_read_if_it_is_asked_for(result: Path) -> None:
    assert verify("--due")[0] == 0
    result.write_bytes(b"other")
    status, lines = verify("--due")
    assert status == 0
    assert lines[0].endswith("A night's share of the results is read, of those that weren't for 30 days.")
    assert verify("--all")[0] == 1


def test_it_says_how_far_it_is(
    result: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jobs.management.commands.verify.PROGRESS_EVERY_SECONDS", 0)
    verify()
    assert "1 of 1 results read" in capsys.readouterr().err
