"""Gather what is known about a case beside its row: what was given back, what people did, what helps."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.models import Adjustment, AuditEntry
from jobs.audit import bad_results, giving_back, several
from jobs.audit.cases.kinds import OF_ATTEMPTS, Case, Kind
from jobs.audit.giving_back import Given
from jobs.models import Attempt, BulkDecision

MAX_ENTRIES = 20
FILES_DAMAGED, FILES_AND_ROWS, CHARGES, ROLL_UPS = 5, 6, 7, 8
LEDGER = (1, 2, 3, 4)


@dataclass(frozen=True)
class Evidence:
    """attempt: the call that it is about, if any. given: what was booked for that and given back.

    waiting: a refund or a write-off that a second person hasn't decided. decision: one on the call in doubt,
    if it needs a second person. history: the audit log's entries, newest first. advice: what to do if that
    isn't a button.
    """

    attempt: Attempt | None
    given: Given | None
    waiting: Adjustment | None
    decision: BulkDecision | None
    history: list[AuditEntry]
    advice: str


def of(case: Case) -> Evidence:
    attempt = _attempt(case)
    entries = AuditEntry.objects.filter(subject=case.subject).select_related("actor").order_by("-pk")
    return Evidence(
        attempt=attempt,
        given=giving_back.given(attempt) if attempt else None,
        waiting=giving_back.waiting(attempt) if attempt else None,
        decision=several.pending(case.team).get(case.row.pk) if case.entry.proposed else None,
        history=list(entries[:MAX_ENTRIES]),
        advice=_advice(case),
    )


def _attempt(case: Case) -> Attempt | None:
    if case.kind in OF_ATTEMPTS:
        attempt: Attempt = case.row
        return attempt
    if case.kind is Kind.ADJUSTMENT:
        return giving_back.attempt_of(case.row)
    return bad_results.paid_attempt(case.job) if case.job else None


def _advice(case: Case) -> str:
    if case.kind is Kind.DAMAGED:
        return _(
            "Put the file back from a backup, under the same name. Each night it is read again, and "
            "manage.py verify does so now; the case ends once the file is intact. The charge stays: if the "
            "result is lost for good, report it as bad, and refund it."
        )
    return _advice_on(case.row.findings[case.entry.number - 1][0]) if case.kind is Kind.FINDING else ""


def _advice_on(invariant: int) -> str:
    """Say what to do about a finding of ``manage.py verify``."""
    if invariant in LEDGER:
        return _(
            "The ledger can't come to this by itself. Stop the workers, copy the database, and run "
            "manage.py verify again. manage.py reconcile --attempts names each attempt whose charge and "
            "booking differ; settle those here, and correct a balance by manage.py adjust, never in the "
            "tables."
        )
    return {
        FILES_DAMAGED: _("Put the file back from a backup, then run manage.py verify."),
        FILES_AND_ROWS: _(
            "manage.py quarantine lists files without a row and puts them back; a missing file comes back "
            "from a backup. Then run manage.py verify."
        ),
        CHARGES: _(
            "manage.py reconcile compares each call with the upstream's balance, and says which differ."
        ),
        ROLL_UPS: _("Run manage.py verify again once the workers rest; if it stays, recompute the roll-up."),
    }.get(
        invariant, _("See if the workers run: the health page says what they do. Then run manage.py verify.")
    )
