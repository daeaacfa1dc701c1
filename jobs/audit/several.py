"""Decide several calls in doubt with one confirmation. Each is booked in a transaction of its own.

``make`` stores the decision first, and ``run`` books one call after the other. What a crash leaves undone is
done by running it again: a call that was decided before, by this decision or by another, is left alone. If
the credits at stake together exceed ``SECOND_REVIEW_CREDITS``, it waits for a second person; so does a
decision on one call (``decide_one``). While one waits, nobody makes another one for any of its calls.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action, checked_reason
from accounts.credits import adjustments
from accounts.credits.adjustments import AlreadyDecidedError, NotAllowedError, WaitingError
from accounts.models import AuditEntry, Team, User
from accounts.teams.permissions import may_decide
from jobs.audit import review
from jobs.calls.attempts import WrongStateError
from jobs.models import Attempt, BulkDecision, Job


class AlreadyMadeError(Exception):
    """The same form was sent before. Nothing was changed."""


class Call(NamedTuple):
    """A call in doubt and what to book for it. held: in micro-credits. seen: see ``known_of``."""

    attempt: Attempt
    charged: int
    held: int
    seen: str

    @property
    def stake(self) -> int:
        return max(self.charged, self.held)


@dataclass
class Outcome:
    """The calls by what became of them. late: decided by someone else, or changed since they were shown."""

    done: list[Attempt] = field(default_factory=list)
    late: list[Attempt] = field(default_factory=list)
    refused: list[Attempt] = field(default_factory=list)

    def __iadd__(self, other: "Outcome") -> "Outcome":
        self.done += other.done
        self.late += other.late
        self.refused += other.refused
        return self


def stake_of(calls: Iterable[Call]) -> int:
    return sum(call.stake for call in calls)


def needs_second(calls: Iterable[Call]) -> bool:
    """Return True if one person alone may not decide these calls, by their sum."""
    return adjustments.is_above_limit(stake_of(calls))


def pending(team: Team | None) -> dict[int, BulkDecision]:
    """Return the decisions of the team, or of all teams, that a second person is needed for, by attempt."""
    rows = BulkDecision.objects.pending().select_related("asked_by").order_by("pk")
    of_team = rows.filter(team=team) if team else rows
    return {pk: decision for decision in of_team for pk, _charged, _seen in decision.calls}


def known_of(attempt: Attempt) -> str:
    """Return what a decision rests on: whether a response came, and when."""
    return attempt.answered_at.isoformat() if attempt.answered_at else "-"


def make(token: UUID, choice: str, calls: list[Call], actor: User, reason: str) -> list[BulkDecision]:
    """Store the decision, one for each team; nothing is booked yet.

    Raises ReasonError, AlreadyMadeError if the token was used before, and WaitingError if one of the calls
    waits for a second person already; none is stored then.
    """
    reason, waits = checked_reason(reason), needs_second(calls)
    by_team: dict[Team, list[Call]] = defaultdict(list)
    for call in calls:
        by_team[call.attempt.job.team].append(call)
    try:
        with transaction.atomic():
            _lock(calls)
            if is_made(token):
                raise AlreadyMadeError(str(token))
            for team, own in by_team.items():
                _check_none_waits(team, own)
            return [
                _store(
                    BulkDecision(token=token, choice=choice, needs_second=waits, team=team),
                    own,
                    actor,
                    reason,
                )
                for team, own in by_team.items()
            ]
    except IntegrityError as error:
        if is_made(token):
            raise AlreadyMadeError(str(token)) from error
        raise


def is_made(token: UUID) -> bool:
    return BulkDecision.objects.filter(token=token).exists()


def decide_one(attempt: Attempt, charged: int, actor: User, why: str) -> BulkDecision | None:
    """Book one call's charge, or return the decision if it waits for a second person.

    Raises what ``review.resolve`` raises, and WaitingError if a second person decides about it already.
    """
    held = attempt.hold.amount_microcredits if attempt.hold else 0
    call = Call(attempt, charged, held, known_of(attempt))
    _check_none_waits(attempt.job.team, [call])
    if not needs_second([call]):
        review.resolve(attempt, charged, actor, why)
        return None
    if not is_open(attempt, call.seen):
        raise WrongStateError(f"{attempt} isn't in doubt")
    choice = BulkDecision.Choice.AMOUNT if charged else BulkDecision.Choice.NOT_CHARGED
    return make(uuid4(), choice, [call], actor, why)[0]


def run(decision: BulkDecision, actor: User) -> Outcome:
    """Book each call that is left, in a transaction of its own, and say what became of all of them."""
    attempts = Attempt.objects.select_related("job__team", "hold").in_bulk(
        [pk for pk, _charged, _seen in decision.calls]
    )
    outcome, batch = Outcome(), str(decision.token)
    for pk, charged, seen in decision.calls:
        attempt = attempts[pk]
        if not is_open(attempt, seen):
            continue
        try:
            review.resolve(attempt, charged, actor, decision.reason, batch=batch)
        except WrongStateError:
            continue
        except review.NotBookedError:
            outcome.refused.append(attempt)
    BulkDecision.objects.open().filter(pk=decision.pk).update(finished_at=timezone.now())
    booked = _booked(attempts.values(), batch)
    for attempt in attempts.values():
        if attempt.pk in booked:
            outcome.done.append(attempt)
        elif attempt not in outcome.refused:
            outcome.late.append(attempt)
    return outcome


def is_open(attempt: Attempt, seen: str) -> bool:
    """Return True if the call is in doubt, and nothing more is known of it than was seen."""
    return attempt.state == Attempt.State.IN_DOUBT and known_of(attempt) == seen


def may_approve(user: User, decision: BulkDecision) -> bool:
    """Return True for a second person with a say in the team's credits; one of the two must be staff."""
    by_two = user.pk != decision.asked_by_id and may_decide(user, decision.team)
    return by_two and (user.is_staff or decision.asked_by.is_staff)


def approve(decision: BulkDecision, actor: User) -> Outcome:
    """Book what another person asked for; raise AlreadyDecidedError or NotAllowedError."""
    _answer(decision, actor, approved=True)
    return run(decision, actor)


def reject(decision: BulkDecision, actor: User, answer: str) -> None:
    """End the decision and leave the calls in doubt; raise what ``approve`` raises, and ReasonError."""
    _answer(decision, actor, approved=False, answer=checked_reason(answer))


@transaction.atomic
def _answer(decision: BulkDecision, actor: User, *, approved: bool, answer: str = "") -> None:
    if not may_approve(actor, decision):
        raise NotAllowedError(str(decision.pk))
    now = timezone.now()
    finished = {} if approved else {"finished_at": now}
    # One conditional UPDATE: of two answers at once, only one finds the decision waiting.
    waiting = BulkDecision.objects.waiting().filter(pk=decision.pk)
    if not waiting.update(decided_by=actor, decided_at=now, approved=approved, answer=answer, **finished):
        raise AlreadyDecidedError(str(decision.pk))
    _record(Action.APPROVE if approved else Action.REJECT, decision, actor, answer)


def _lock(calls: list[Call]) -> None:
    """Lock the calls' jobs, in one order, so that of two decisions at once the second sees the first."""
    jobs = Job.objects.select_for_update().filter(pk__in={call.attempt.job_id for call in calls})
    list(jobs.order_by("pk").values_list("pk"))


def _check_none_waits(team: Team, calls: list[Call]) -> None:
    if waiting := pending(team).keys() & {call.attempt.pk for call in calls}:
        raise WaitingError(f"attempts {sorted(waiting)}")


def _store(decision: BulkDecision, calls: list[Call], actor: User, reason: str) -> BulkDecision:
    decision.asked_by, decision.reason = actor, reason
    decision.calls = [(call.attempt.pk, call.charged, call.seen) for call in calls]
    decision.stake_microcredits = stake_of(calls)
    decision.save(force_insert=True)
    if decision.needs_second:
        _record(Action.PROPOSE, decision, actor, reason)
    return decision


def _record(action: Action, decision: BulkDecision, actor: User, reason: str) -> None:
    terms = {
        "decision": decision.choice,
        "calls": len(decision.calls),
        "microcredits": decision.stake_microcredits,
        "batch": str(decision.token),
    }
    subject = f"decision:{decision.pk}"
    audit_log.record(action, subject, actor=actor, team=decision.team, reason=reason, after=terms)


def _booked(attempts: Iterable[Attempt], batch: str) -> set[int]:
    """Return the attempts that the audit log says were decided by this confirmation, now or before."""
    subjects = {f"attempt:{attempt.pk}": attempt.pk for attempt in attempts}
    entries = AuditEntry.objects.filter(action=Action.RESOLVE, subject__in=list(subjects))
    return {
        subjects[subject]
        for subject, after in entries.values_list("subject", "after")
        if after.get("batch") == batch
    }
