"""Choose what to book for several calls in doubt, and say what is at stake and whom it concerns."""

import re
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from accounts.models import Team, User
from jobs.audit import several
from jobs.audit.cases.kinds import Case
from jobs.audit.reconcile import doubts
from jobs.audit.several import AlreadyMadeError, Call, Outcome
from jobs.models import Attempt, BulkDecision

Choice = BulkDecision.Choice
CHOICES = (Choice.ESTIMATED, Choice.NOT_CHARGED, Choice.BALANCE)

MAX_CASES = 500
"""Decided with one confirmation; whoever has more does it again."""

SHOWN = re.compile(r"([0-9]{1,18}):([0-9]{1,16}):(\S{1,40})")


@dataclass(frozen=True)
class Affected:
    """A person's or a key's share: of the calls, and of the credits at stake."""

    team: Team
    who: str
    calls: int
    stake: int


@dataclass(frozen=True)
class Bulk:
    """Calls in doubt with what a decision would book for each; amounts in micro-credits."""

    choice: str
    calls: list[Call]

    @property
    def total(self) -> int:
        return sum(call.charged for call in self.calls)

    @property
    def held(self) -> int:
        return sum(call.held for call in self.calls)

    @property
    def stake(self) -> int:
        return several.stake_of(self.calls)

    @property
    def needs_second(self) -> bool:
        return several.needs_second(self.calls)

    @property
    def affected(self) -> list[Affected]:
        """Return who is concerned, the most at stake first."""
        calls, stakes = Counter[tuple[Team, str]](), Counter[tuple[Team, str]]()
        for call in self.calls:
            whose = (call.attempt.job.team, call.attempt.job.who)
            calls[whose] += 1
            stakes[whose] += call.stake
        return [Affected(*whose, calls[whose], stake) for whose, stake in stakes.most_common()]

    @property
    def shown(self) -> str:
        """Return the calls as the form sends them back, so that what is booked is what was confirmed."""
        return " ".join(f"{call.attempt.pk}:{call.charged}:{call.seen}" for call in self.calls)


def bulk(cases: list[Case], choice: str) -> Bulk | None:
    """Return what the choice means for these cases; None if the balances don't say what they cost."""
    charges: dict[Attempt, int] | None = {case.row: case.likely for case in cases}
    if charges and choice == Choice.BALANCE:
        charges = doubts.charges(charges)
    elif charges and choice == Choice.NOT_CHARGED:
        charges = dict.fromkeys(charges, 0)
    if charges is None:
        return None
    held = {case.row: case.entry.held for case in cases}
    calls = [Call(row, charged, held[row], several.known_of(row)) for row, charged in charges.items()]
    return Bulk(choice, calls)


def keys_of(shown: str) -> list[int]:
    """Return the attempts that a form was shown with."""
    return [int(call[1]) for call in SHOWN.finditer(shown)][:MAX_CASES]


def decide(shown: str, now: Bulk | None, token: UUID, actor: User, reason: str) -> Outcome | None:
    """Book what was shown; return None if it waits for a second person.

    now: the same calls as they are now. What isn't as it was shown is left alone and counted as late.
    Raises what ``several.make`` raises.
    """
    if several.is_made(token):
        raise AlreadyMadeError(str(token))
    confirmed = set(shown.split())
    calls = [call for call in now.calls if Bulk(now.choice, [call]).shown in confirmed] if now else []
    agreed = {call.attempt.pk for call in calls}
    others = [pk for pk in keys_of(shown) if pk not in agreed]
    outcome = Outcome(late=list(Attempt.objects.select_related("job").filter(pk__in=others)))
    if not (now and calls):
        return outcome
    for decision in several.make(token, now.choice, calls, actor, reason):
        if decision.needs_second:
            return None
        outcome += several.run(decision, actor)
    return outcome
