"""What E3 finds when all is quiet again."""

from collections.abc import Iterator
from dataclasses import dataclass

from chaos.cases import cases
from chaos.database_load import Load
from chaos.judge import failures
from jobs.models import Attempt, Job

UNNAMED = "no row names the file "


@dataclass(frozen=True)
class Verdict:
    """cases: jobs in the end; doubted: jobs in doubt, uncalled: those of them for which no call came;
    orphans: sources that no row names, of uploads that nobody acknowledged."""

    cases: int
    acknowledged: int
    booked: int
    doubted: int
    uncalled: int
    orphans: int
    failures: list[str]

    def facts(self) -> dict[str, int]:
        names = ("cases", "acknowledged", "booked", "doubted", "uncalled", "orphans")
        return {name: getattr(self, name) for name in names}


def verdict(load: Load) -> Verdict:
    log = load.site.upstream.log()
    found = failures(log)
    orphans = list(_orphans(found))
    doubted = [case for case in cases(log) if case.job.state == Job.State.IN_DOUBT]
    return Verdict(
        cases=Job.objects.count(),
        acknowledged=len(load.uploads.read()),
        booked=Attempt.objects.filter(state=Attempt.State.BOOKED).count(),
        doubted=len(doubted),
        uncalled=sum(not case.attempts[-1].calls for case in doubted),
        orphans=len(orphans),
        failures=[failure for failure in found if failure not in orphans],
    )


def _orphans(found: list[str]) -> Iterator[str]:
    """Stored before the row that never came, and nobody was told that it had."""
    yield from (failure for failure in found if failure.startswith(UNNAMED) and "/source." in failure)
