"""Record a person's decision: what an attempt in doubt was charged, or that an overage was reviewed."""

from typing import Any

from django.core.files.storage import default_storage
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from accounts.ledger.operations import LedgerError
from accounts.models import Transfer, User
from jobs.calls import attempts
from jobs.models import Attempt, Job
from jobs.models.verdicts import CONTRADICTED
from jobs.queue import claims
from jobs.renditions import apply
from jobs.storage import files
from pixian.client.client import OK

MAX_REASON = 400
MAX_CHARGE = 2**53


class ReasonError(ValueError):
    """A decision needs a reason of at most 400 characters."""


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


def resolve(attempt: Attempt, charged_microcredits: int, actor: User, why: str) -> None:
    """Book what a person found out about an attempt in doubt: its charge, or 0 for none.

    Any amount may be booked, even one that was implausible as a header. Raises NotBookedError, and
    WrongStateError if the attempt isn't in doubt: of two decisions at once, one wins.
    """
    if not 0 <= charged_microcredits < MAX_CHARGE:
        raise ValueError(f"{charged_microcredits} micro-credits can't have been charged")
    why = _reason(why)
    result = _stored_result(attempt)
    try:
        _resolve(attempt, charged_microcredits, actor, why, result)
    except (IntegrityError, DataError, OverflowError, LedgerError) as error:
        raise NotBookedError(f"{type(error).__name__}: {error}") from error
    if result:
        apply.follow(Job.objects.get(pk=attempt.job_id))


@transaction.atomic
def _resolve(attempt: Attempt, charged: int, actor: User, why: str, result: dict[str, Any] | None) -> None:
    # The job is locked first, as in ``queue.claims``, so that two transactions never wait for each other.
    job = Job.objects.select_for_update().get(pk=attempt.job_id)
    attempts.resolve(attempt, charged, actor, why)
    # A job waits only for its last attempt; an earlier one may be in doubt because of its charge header.
    if not job.attempts.filter(number__gt=attempt.number).exists():
        claims.resolve(job, charged=charged > 0, result=result)


def _stored_result(attempt: Attempt) -> dict[str, Any] | None:
    """Return the job's columns for a result that arrived completely but whose call couldn't be booked."""
    if attempt.status != OK or attempt.job.state != Job.State.IN_DOUBT:
        return None
    name = files.result_name(attempt.job, attempt.number)
    if not files.is_complete(name):
        return None
    with default_storage.open(name) as file:
        return {"result": name, "result_sha256": files.sha256(file), "result_bytes": file.size}


@transaction.atomic
def acknowledge(attempt: Attempt, actor: User, note: str) -> None:
    """Record that an overage, or a response that contradicts an earlier decision, was reviewed.

    Raises WrongStateError if the attempt is neither, or was reviewed before.
    """
    note = _reason(note)
    row = Attempt.objects.select_for_update().get(pk=attempt.pk)
    above = Transfer.objects.filter(hold=row.hold_id, kind=Transfer.Kind.OVERAGE)
    contradicted = Attempt.objects.filter(CONTRADICTED, pk=row.pk)
    if not (contradicted.exists() or (row.reviewed_at is None and above.exists())):
        raise attempts.WrongStateError(f"{attempt} isn't waiting for a review")
    notes = [row.review_note, note]
    attempt.reviewed_by, attempt.reviewed_at = actor, timezone.now()
    attempt.review_note = "; ".join(filter(None, notes))[-MAX_REASON:]
    attempt.save(update_fields=["reviewed_by", "reviewed_at", "review_note"])


def _reason(text: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= MAX_REASON:
        raise ReasonError(f"A reason of 1 to {MAX_REASON} characters is needed.")
    return text
