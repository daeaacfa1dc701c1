"""Record a person's decision: what an attempt in doubt was charged, or that an overage was reviewed.

Each decision has an entry in the audit log, written in its transaction.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action, checked_reason
from accounts.ledger import operations as ledger
from accounts.ledger import posting
from accounts.ledger.operations import LedgerError
from accounts.models import Transfer, User
from accounts.models.audit import MAX_REASON
from jobs.calls import attempts
from jobs.models import Attempt, BalancePeriod, Job
from jobs.models.verdicts import CONTRADICTED
from jobs.queue import claims
from jobs.renditions import apply
from jobs.storage import files
from pixian.client.client import OK

MAX_CHARGE = 2**53


class NotBookedError(Exception):
    """The books refuse the decision. Nothing was changed."""


class UnknownUserError(Exception):
    """No active user has this address."""


def find_user(email: str) -> User:
    """Return the active user with this email address, or raise UnknownUserError."""
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise UnknownUserError(f"No active user has the address {email}.")
    return user


def resolve(attempt: Attempt, charged_microcredits: int, actor: User, why: str, *, batch: str = "") -> None:
    """Book what a person found out about an attempt in doubt: its charge, or 0 for none.

    batch: the audit log's name of the confirmation that decided several. Any amount may be booked, even one
    that was implausible as a header. Raises NotBookedError, and WrongStateError if the attempt isn't in
    doubt: of two decisions at once, one wins.
    """
    if not 0 <= charged_microcredits < MAX_CHARGE:
        raise ValueError(f"{charged_microcredits} micro-credits can't have been charged")
    why = checked_reason(why)
    result = _stored_result(attempt)
    try:
        _resolve(attempt, charged_microcredits, actor, why, result, batch)
    except (IntegrityError, DataError, OverflowError, LedgerError) as error:
        raise NotBookedError(f"{type(error).__name__}: {error}") from error
    if result:
        apply.follow(Job.objects.get(pk=attempt.job_id))


@transaction.atomic
def _resolve(
    attempt: Attempt, charged: int, actor: User, why: str, result: dict[str, Any] | None, batch: str
) -> None:
    # The job is locked first, as in ``queue.claims``, so that two transactions never wait for each other.
    job = Job.objects.select_for_update(of=("self",)).select_related("team").get(pk=attempt.job_id)
    with _accounts_of(attempt):
        before = _known(attempt, job)
        attempts.resolve(attempt, charged, actor, why)
        BalancePeriod.objects.outdate_for(attempt)
        after = _known(attempt, job) | {"charged_microcredits": charged} | ({"batch": batch} if batch else {})
    _record(Action.RESOLVE, attempt, job, actor, why, before, after)
    # A job waits only for its last attempt; an earlier one may be in doubt because of its charge header.
    if not job.attempts.filter(number__gt=attempt.number).exists():
        claims.resolve(job, charged=charged > 0, result=result)


def _stored_result(attempt: Attempt) -> dict[str, Any] | None:
    """Return the job's columns for a result that arrived completely but whose call couldn't be booked."""
    if attempt.status != OK or attempt.job.state != Job.State.IN_DOUBT:
        return None
    name = files.result_name(attempt.job, attempt.number)
    if not (found := files.find_result(name)):
        return None
    digest, size = found
    return {"result": name, "result_sha256": digest, "result_bytes": size}


@transaction.atomic
def put_off(attempt: Attempt, actor: User, why: str = "") -> None:
    """Leave an attempt in doubt to the next balance; raise WrongStateError if it is decided or left already.

    It stays in doubt, and a person may still decide it.
    """
    job = Job.objects.select_for_update(of=("self",)).select_related("team").get(pk=attempt.job_id)
    now = timezone.now()
    waiting = Attempt.objects.filter(pk=attempt.pk, state=Attempt.State.IN_DOUBT, put_off_at=None)
    if not waiting.update(put_off_at=now):
        raise attempts.WrongStateError(f"{attempt} isn't in doubt, or waits for the balance already")
    attempt.put_off_at = now
    state = {"state": str(attempt.state)}
    after = state | {"put_off_at": now.isoformat()}
    _record(Action.PUT_OFF, attempt, job, actor, why.strip()[:MAX_REASON], state, after)


@transaction.atomic
def acknowledge(attempt: Attempt, actor: User, note: str) -> None:
    """Record that an overage, or a response that contradicts an earlier decision, was reviewed.

    Raises WrongStateError if the attempt is neither, or was reviewed before.
    """
    note = checked_reason(note)
    job = Job.objects.select_for_update(of=("self",)).select_related("team").get(pk=attempt.job_id)
    row = Attempt.objects.select_for_update(of=("self",)).get(pk=attempt.pk)
    above = Transfer.objects.filter(hold=row.hold_id, kind=Transfer.Kind.OVERAGE)
    contradicted = Attempt.objects.filter(CONTRADICTED, pk=row.pk)
    if not (contradicted.exists() or (row.reviewed_at is None and above.exists())):
        raise attempts.WrongStateError(f"{attempt} isn't waiting for a review")
    notes = [row.review_note, note]
    attempt.reviewed_by, attempt.reviewed_at = actor, timezone.now()
    attempt.review_note = "; ".join(filter(None, notes))[-MAX_REASON:]
    attempt.save(update_fields=["reviewed_by", "reviewed_at", "review_note"])
    before, after = ({"reviewed_at": at and at.isoformat()} for at in (row.reviewed_at, attempt.reviewed_at))
    _record(Action.ACKNOWLEDGE, attempt, job, actor, note, before, after)


def _accounts_of(attempt: Attempt) -> AbstractContextManager[Any]:
    """Lock the team's accounts, so that the balances differ by the decision alone; a test touches none."""
    return posting.locked_for(attempt.hold) if attempt.hold else nullcontext()


def _known(attempt: Attempt, job: Job) -> dict[str, Any]:
    """Return what the audit log keeps of an attempt: its state, evidence and the team's balances."""
    return {
        "state": str(attempt.state),
        "doubt": str(attempt.doubt),
        "header": attempt.charged_header,
        "held_microcredits": attempt.hold.amount_microcredits if attempt.hold else 0,
    } | asdict(ledger.balances(job.team))


def _record(
    action: Action,
    attempt: Attempt,
    job: Job,
    actor: User,
    why: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    subject = f"attempt:{attempt.pk}"
    audit_log.record(action, subject, actor=actor, team=job.team, reason=why, before=before, after=after)
