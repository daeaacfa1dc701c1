"""Choose the warnings that a page shows to its reader."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest

from accounts.models import Membership, Role, Team, User
from jobs.events import alert_mails
from jobs.events.reasons import ALLOWANCE, DISK, DISK_PERCENT, FULL, POOL
from jobs.models import Alert

HIDDEN = "hidden_alerts"
"""The session's key for the warnings that its reader has hidden."""
MAX_HIDDEN = 50


@dataclass(frozen=True)
class Note:
    """A warning as a page shows it. page: the path of where something can be done about it.

    is_pool: it is about what the team has left.
    """

    pk: int
    text: str
    page: str
    is_grave: bool
    is_pool: bool


def notes(request: HttpRequest, team: Team | None) -> list[Note]:
    """Return the warnings that concern the reader: of each subject the gravest one."""
    user = getattr(request, "user", None)  # an error page may come before it is known
    if user is None or not user.is_authenticated:
        return []
    hidden = request.session.get(HIDDEN, [])
    gravest = {alert.subject: alert for alert in sorted(_open(user, team), key=_gravity)}
    return [_note(alert) for alert in gravest.values() if _mark(alert) not in hidden]


def hide(request: HttpRequest, alert: Alert) -> None:
    """Hide a warning from the reader of this session, until it is given again."""
    hidden = [*request.session.get(HIDDEN, []), _mark(alert)]
    request.session[HIDDEN] = hidden[-MAX_HIDDEN:]


def _open(user: User, team: Team | None) -> Iterator[Alert]:
    here = Q(team=team) if team else Q(pk=None)
    alerts = list(Alert.objects.filter(here | Q(team=None) if user.is_staff else here, over_at=None))
    if not alerts:
        return
    member = Membership.objects.filter(team=team, user=user.pk).first()
    for alert in alerts:
        is_own = alert_mails.kind(alert) == ALLOWANCE and alert.text.get("user") == user.pk
        manages = member is not None and member.role >= Role.MANAGER and alert_mails.kind(alert) != ALLOWANCE
        if alert.team_id is None or is_own or manages:
            alert.team = team if alert.team_id else None
            yield alert


def _gravity(alert: Alert) -> int:
    is_percent = alert_mails.kind(alert) in (POOL, ALLOWANCE, DISK)
    return alert.level if is_percent else -alert.level


def _note(alert: Alert) -> Note:
    # Used up, a day left, switched off, or a disk that is nearly full.
    is_grave = alert.level in (0, 1, FULL) or (alert_mails.kind(alert), alert.level) == (
        DISK,
        DISK_PERCENT[-1],
    )
    text, page = alert_mails.sentence(alert), alert_mails.page(alert)
    return Note(alert.pk, text, page, is_grave, is_pool=alert_mails.kind(alert) == POOL)


def _mark(alert: Alert) -> str:
    return f"{alert.pk}:{alert.at.timestamp():.0f}"
