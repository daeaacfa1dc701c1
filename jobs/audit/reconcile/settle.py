"""Book the charges that the balances make certain, as new transfers by the user who asked for it."""

from accounts.ledger.money import to_credits
from accounts.models import User
from accounts.teams.permissions import may_decide
from jobs.audit import review
from jobs.audit.reconcile.periods import Period
from jobs.calls.attempts import WrongStateError
from jobs.models import Attempt


class NotAllowedError(Exception):
    """The user may not decide for one of the teams. Nothing was booked."""


def settle(periods: list[Period], actor: User) -> list[str]:
    """Book every decision and return a sentence about each; decisions made in the meantime stand."""
    decisions = {call.pk: (charged, period) for period in periods for call, charged in period.decisions}
    attempts = Attempt.objects.select_related("job__team", "hold").in_bulk(list(decisions))
    for team in {attempt.job.team for attempt in attempts.values()}:
        if not may_decide(actor, team):
            raise NotAllowedError(f"{actor} is neither staff nor a manager of {team}.")
    charges = {call.pk: call.known for period in periods for call, _charged in period.decisions}
    return [
        _settle(attempts[pk], charged, period, actor)
        for pk, (charged, period) in decisions.items()
        if attempts[pk].charged_microcredits
        == charges[pk]  # else its response came after the periods were read
    ]


def _settle(attempt: Attempt, charged: int, period: Period, actor: User) -> str:
    why = f"balance {period.title}"
    name = f"{attempt.job_id}/{attempt.number}"
    try:
        review.resolve(attempt, charged, actor, why)
    except WrongStateError:
        return f"{name} was decided by someone else in the meantime."
    except review.NotBookedError as error:
        return f"{name} couldn't be booked, and stays in doubt: {error}"
    return f"{name} settled: {f'{to_credits(charged)} charged' if charged else 'not charged'} ({why})."
