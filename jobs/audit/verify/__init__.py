"""The ten invariants: what must be true of the ledger, the files and the work under way, at any moment.

``manage.py verify`` prints what was found, a nightly chore and the health page only keep it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.db import connection, transaction

from jobs.audit.verify import books, moving, paid, rollups, stored
from jobs.models import Verification
from jobs.storage import interruptible
from jobs.storage.interruptible import Stop, unless_stopped

Find = Callable[..., Iterator[str]]
Tell = Callable[[int, list[str]], None]

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
    10: ("Nothing is sent for more than 10 minutes", moving.all_answered),
}
FILES = (5, 6)
HASHING = 5
MOST_FINDINGS = 50
"""Of one invariant; a bug that touches everything shouldn't fill the disk with its sentences."""


def run(
    *,
    quick: bool = False,
    nightly: bool = False,
    stop: Stop = interruptible.keep_going,
    tell: Tell = lambda _number, _found: None,
) -> Verification:
    """Look at all invariants, and keep what was found.

    quick: leave out the one that reads every result; nightly: read a night's share of them. tell: called
    after each with its findings. Raises StoppedError, and keeps nothing then, if the process is told to end.
    """
    found: dict[int, list[str]] = {}
    with _one_view():
        # All of one moment, so that work under way can't look like damage.
        for number in unless_stopped(stop, sorted(INVARIANTS.keys() - FILES)):
            found[number] = _bounded(INVARIANTS[number][1]())
    for number in FILES:
        find = stored.due_results_match if nightly and number == HASHING else INVARIANTS[number][1]
        if not (quick and number == HASHING):
            found[number] = _bounded(find(stop))
    for number in sorted(found):
        tell(number, found[number])
    findings = [[number, sentence] for number in sorted(found) for sentence in found[number]]
    return Verification.objects.create(findings=findings)


def _bounded(sentences: Iterator[str]) -> list[str]:
    first = list(islice(sentences, MOST_FINDINGS))
    more = sum(1 for _ in sentences)
    return [*first, f"and {more} more"] if more else first


@contextmanager
def _one_view() -> Iterator[None]:
    """All queries see the database as of one moment, and nobody waits for them.

    A reader in SQLite's WAL sees one moment for the whole of its transaction. Django would begin one that
    keeps writers out (``transaction_mode``), so it is begun here.
    """
    if connection.in_atomic_block:  # one that a test rolls back
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
