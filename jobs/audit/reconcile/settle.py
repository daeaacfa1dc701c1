"""What the balances make certain, booked: as new transfers, with whoever asked for it as their author."""

from accounts.ledger.money import to_credits
from accounts.models import User
from accounts.teams.permissions import may_decide
from jobs.audit import review
from jobs.audit.reconcile.periods import Period
from jobs.calls import attempts
from jobs.models import Attempt


class NotAllowedError(Exception):
    """The author may not decide for one of the teams. Nothing was booked."""


def settle(periods: list[Period], actor: User) -> list[str]:
    """Book every decision; says what was booked. What somebody else decided meanwhile stays as it is."""
    decisions = {call.pk: (charged, period) for period in periods for call, charged in period.decisions}
    found = Attempt.objects.select_related("job__team", "hold").in_bulk(list(decisions))
    for team in {attempt.job.team for attempt in found.values()}:
        if not may_decide(actor, team):
            raise NotAllowedError(f"{actor} is neither staff nor a manager of {team}.")
    known = {call.pk: call.known for period in periods for call, _charged in period.decisions}
    return [
        _settle(found[pk], charged, period, actor)
        for pk, (charged, period) in decisions.items()
        if found[pk].charged_microcredits == known[pk]  # else its answer came after the periods were reckoned
    ]


def _settle(attempt: Attempt, charged: int, period: Period, actor: User) -> str:
    why = f"balance {period.title}"
    name = f"{attempt.job_id}/{attempt.number}"
    try:
        review.resolve(attempt, charged, actor, why)
    except attempts.WrongStateError:
        return f"{name} was decided by somebody else meanwhile."
    except review.NotBookedError as error:
        return f"{name} couldn't be booked, and stays in doubt: {error}"
    return f"{name} settled: {f'{to_credits(charged)} charged' if charged else 'not charged'} ({why})."
