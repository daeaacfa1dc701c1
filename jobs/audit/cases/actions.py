"""The few things that a person may do about a case, each once.

``available`` names them for the page; ``take`` does one. Whoever comes second gets DecidedMeanwhileError.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.credits import adjustments
from accounts.ledger.operations import DuplicateKeyError, LedgerError
from accounts.models import Adjustment, User
from jobs.audit import bad_results, giving_back, review, several
from jobs.audit.cases.kinds import DOUBTS, Case, Kind
from jobs.audit.several import Outcome
from jobs.calls.attempts import WrongStateError
from jobs.models import Attempt, BadResult, BulkDecision, Job

Made = Adjustment | BulkDecision | Outcome | None


class DecidedMeanwhileError(Exception):
    """Someone else decided the case. Nothing was changed."""


class RefusedError(Exception):
    """The books refuse the decision. Nothing was changed."""


@dataclass(frozen=True)
class Action:
    """A button: its name in the form, its words, its key, and what it asks for."""

    name: str
    label: str | Promise
    key: str
    asks_amount: bool = False
    asks_reason: bool = True
    is_quiet: bool = False


@dataclass(frozen=True)
class Decision:
    """A person's entry. amount: in micro-credits, for an action that asks for one.

    seen: what ``seen`` returned when the page was shown; empty if nobody asked.
    """

    actor: User
    amount: int
    reason: str
    seen: str = ""


CHARGED = Action("charged", _("It was charged"), "c", asks_amount=True)
NOT_CHARGED = Action("not_charged", _("It wasn't charged"), "n")
PUT_OFF = Action("put_off", _("Wait for the balance"), "w", asks_reason=False, is_quiet=True)
ACKNOWLEDGE = Action("acknowledge", _("Acknowledge"), "a")
WRITE_OFF = Action("write_off", _("Write off"), "o")
REFUND = Action("refund", _("Refund"), "f", asks_amount=True)
DECLINE = Action("decline", _("Decline"), "d", is_quiet=True)
APPROVE = Action("approve", _("Approve"), "a", asks_reason=False)
REJECT = Action("reject", _("Reject"), "r", is_quiet=True)
CONTINUE = Action("continue", _("Continue"), "a", asks_reason=False)


def available(case: Case, user: User) -> list[Action]:
    """Return what the user may do about the case now; a request is decided on the team's credits page."""
    if not case.is_open or case.entry.proposed:  # the decision on it is a case of its own
        return []
    if case.kind in DOUBTS:
        return [CHARGED, NOT_CHARGED, *([] if case.entry.put_off else [PUT_OFF])]
    match case.kind:
        case Kind.OVERAGE | Kind.MISMATCH:
            given = giving_back.given(case.row)
            offered = ((WRITE_OFF, given.may_write_off), (REFUND, given.may_refund))
            return [ACKNOWLEDGE, *(action for action, may in offered if may)]
        case Kind.REPORT:
            return _for_report(case.row)
        case Kind.ADJUSTMENT:
            return [APPROVE, REJECT] if adjustments.may_approve(user, case.row) else []
        case Kind.DECISION if case.row.is_waiting:
            return [APPROVE, REJECT] if several.may_approve(user, case.row) else []
        case Kind.DECISION:
            return [CONTINUE]
    return []


def _for_report(report: BadResult) -> list[Action]:
    if bad_results.waiting(report):  # declined, it would be refunded all the same once that is approved
        return []
    paid = bad_results.paid_attempt(report.job)
    return [REFUND, DECLINE] if paid and giving_back.given(paid).may_refund else [DECLINE]


def suggested(case: Case) -> int | None:
    """Return the micro-credits to begin with: what the header says if it can be believed, or the estimate."""
    if case.kind in DOUBTS:
        return case.likely
    paid = bad_results.paid_attempt(case.row.job) if case.kind is Kind.REPORT else case.row
    return giving_back.given(paid).left if isinstance(paid, Attempt) else None


def seen(case: Case) -> str:
    """Return what a decision rests on: whether a response came, and when.

    A call's response may come after all while a person looks at the page.
    """
    return several.known_of(case.row) if isinstance(case.row, Attempt) else "-"


def take(case: Case, action: Action, decision: Decision) -> Made:
    """Do it; return what waits for a second person, or what became of several calls.

    Raises DecidedMeanwhileError, RefusedError, ``giving_back.TooMuchError`` and ReasonError; nothing is
    changed then.
    """
    try:
        if decision.seen and decision.seen != seen(case):
            raise DecidedMeanwhileError(case.address)
        return _TAKE[action.name](case, decision)
    except (
        WrongStateError,
        DuplicateKeyError,
        adjustments.WaitingError,
        adjustments.AlreadyDecidedError,
        bad_results.AlreadyAnsweredError,
    ) as error:
        raise DecidedMeanwhileError(str(error)) from error
    except (LedgerError, review.NotBookedError, adjustments.NotAllowedError) as error:
        raise RefusedError(str(error)) from error


def _charged(case: Case, decision: Decision) -> BulkDecision | None:
    return several.decide_one(case.row, decision.amount, decision.actor, decision.reason)


def _not_charged(case: Case, decision: Decision) -> BulkDecision | None:
    return several.decide_one(case.row, 0, decision.actor, decision.reason)


def _put_off(case: Case, decision: Decision) -> None:
    review.put_off(case.row, decision.actor, decision.reason)


def _acknowledge(case: Case, decision: Decision) -> None:
    review.acknowledge(case.row, decision.actor, decision.reason)


@transaction.atomic
def _write_off(case: Case, decision: Decision) -> Adjustment | None:
    waiting = giving_back.write_off(case.row, decision.actor, decision.reason)
    if waiting is None:
        review.acknowledge(case.row, decision.actor, decision.reason)
    return waiting


@transaction.atomic
def _refund(case: Case, decision: Decision) -> Adjustment | None:
    if case.kind is Kind.REPORT:
        return bad_results.refund(case.row, decision.amount, decision.actor, decision.reason)
    waiting = giving_back.refund(case.row, decision.amount, decision.actor, decision.reason)
    if waiting is None:
        review.acknowledge(case.row, decision.actor, decision.reason)
        bad_results.follow_refund(case.row, decision.actor, decision.reason)
    return waiting


def _decline(case: Case, decision: Decision) -> None:
    bad_results.decline(case.row, decision.actor, decision.reason)


def _approve(case: Case, decision: Decision) -> Outcome | None:
    if case.kind is Kind.DECISION:
        return several.approve(case.row, decision.actor)
    _approve_adjustment(case.row, decision)
    return None


@transaction.atomic
def _approve_adjustment(adjustment: Adjustment, decision: Decision) -> None:
    """Post it, and end the cases that it was for."""
    attempt = giving_back.attempt_of(adjustment)
    if attempt:
        Job.objects.select_for_update().get(pk=attempt.job_id)  # before the accounts, as everywhere
    adjustments.approve(adjustment, decision.actor)
    if attempt is None:
        return
    if Attempt.objects.for_review().filter(pk=attempt.pk).exists():
        review.acknowledge(attempt, decision.actor, adjustment.reason)
    if adjustment.kind == Adjustment.Kind.REFUND:
        bad_results.follow_refund(attempt, decision.actor, adjustment.reason)


def _reject(case: Case, decision: Decision) -> None:
    if case.kind is Kind.DECISION:
        several.reject(case.row, decision.actor, decision.reason)
    else:
        adjustments.reject(case.row, decision.actor, decision.reason)


def _continue(case: Case, decision: Decision) -> Outcome:
    return several.run(case.row, decision.actor)


ACTIONS = (CHARGED, NOT_CHARGED, PUT_OFF, ACKNOWLEDGE, WRITE_OFF, REFUND, DECLINE, APPROVE, REJECT, CONTINUE)
BY_NAME = {action.name: action for action in ACTIONS}
_TAKE: dict[str, Callable[[Case, Decision], Made]] = {
    "charged": _charged,
    "not_charged": _not_charged,
    "put_off": _put_off,
    "acknowledge": _acknowledge,
    "write_off": _write_off,
    "refund": _refund,
    "decline": _decline,
    "approve": _approve,
    "reject": _reject,
    "continue": _continue,
}
