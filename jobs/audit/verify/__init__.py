"""Check the ten invariants of the ledger, the files and the work in progress.

``manage.py verify`` prints the findings; a nightly task only stores them, for the health page to show.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.db import connection, transaction

from jobs.audit.verify import books, moving, paid, rollups, stored
from jobs.audit.verify.cancelling import cancelled_when_stopped
from jobs.audit.verify.stored import Progress, ignore
from jobs.models import Verification
from jobs.storage import interruptible
from jobs.storage.interruptible import Stop, StoppedError, unless_stopped

Find = Callable[..., Iterator[str]]
Report = Callable[[int, list[str]], None]

INVARIANTS: dict[int, tuple[str, Find]] = {
    1: ("Every transfer's two sides cancel, and all balances sum to 0", books.sides_cancel),
    2: ("Each balance equals its transfers", books.balances_add_up),
    3: ("The open holds are those of the attempts that haven't ended", books.holds_are_attempts),
    4: ("Every ended attempt is settled once, by what is known of it", books.endings_settle),
    5: ("Every stored result has its SHA-256", stored.results_match),
    6: ("No file without a row, no row without its file", stored.files_are_rows),
    7: ("Settled ≤ charged by the upstream ≤ settled and held in doubt", paid.charges_are_settled),
    8: ("Every roll-up equals its recomputation", rollups.all_recompute),
    9: ("Nothing is undelivered for more than 5 minutes", moving.all_delivered),
    10: ("Nothing is sent for more than 10 minutes, and no job waits for nothing", moving.all_answered),
}
HASHING, LISTING = 5, 6
"""The invariants of the files. Those of the database alone are checked before them."""

MAX_FINDINGS = 50
"""For each invariant, so that a bug that affects every row doesn't fill the disk with its findings."""


def run(
    *,
    quick: bool = False,
    nightly: bool = False,
    stop: Stop = interruptible.keep_going,
    report: Report = lambda _number, _found: None,
    progress: Progress = ignore,
) -> Verification:
    """Check all invariants and store the findings.

    ``quick`` leaves out the invariant that reads every result; ``nightly`` reads only a night's share of
    them. ``report`` is called with each invariant's number and findings, ``progress`` with the number of
    results that were read and are to be read. Raises StoppedError, and stores no findings, if the process is
    asked to end; the results read by then count as read. Raises StorageUnavailableError once it has stored
    what was found by then.
    """
    by_number: dict[int, list[str]] = {}
    with _snapshot(), cancelled_when_stopped(stop):
        # All queries see the same moment, so that work in progress can't look like damage.
        for number in unless_stopped(stop, sorted(INVARIANTS.keys() - {HASHING, LISTING})):
            by_number[number] = _bounded(unless_stopped(stop, INVARIANTS[number][1]()))
            report(number, by_number[number])
    try:
        if not quick:
            find = stored.due_results_match if nightly else stored.results_match
            by_number[HASHING] = _bounded(find(stop, progress))
            report(HASHING, by_number[HASHING])
        by_number[LISTING] = _bounded(stored.files_are_rows(stop))
        report(LISTING, by_number[LISTING])
    except StoppedError:
        raise
    except Exception:
        if any(by_number.values()):  # what is known to be wrong, even if not all could be checked
            _store(by_number)
        raise
    return _store(by_number)


def _store(by_number: dict[int, list[str]]) -> Verification:
    findings = [[number, sentence] for number in sorted(by_number) for sentence in by_number[number]]
    return Verification.objects.create(findings=findings)


def _bounded(sentences: Iterator[str]) -> list[str]:
    first = list(islice(sentences, MAX_FINDINGS))
    more = sum(1 for _ in sentences)
    return [*first, f"and {more} more"] if more else first


@contextmanager
def _snapshot() -> Iterator[None]:
    """Let all queries see the database as of one moment, without blocking writers.

    In SQLite's WAL a reader sees one moment for its whole transaction. Django would begin one that blocks
    writers (``transaction_mode``), so this begins its own.
    """
    if connection.in_atomic_block:  # a test's transaction
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
