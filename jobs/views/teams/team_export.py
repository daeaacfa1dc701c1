"""Send all that a team owns as a ZIP."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.retention import team_export
from jobs.views import exports, scripts
from jobs.views.batches.downloads import UNAVAILABLE, ZIP
from jobs.views.download_slots import SLOTS, BusyError


@require_safe
def export_team(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send the team's books, people and pictures to an owner, made on the way."""
    member = enter(request, team, Role.OWNER)
    name = f"{member.team.slug}-{timezone.localdate():%Y-%m-%d}.zip"
    try:
        content = () if request.method == "HEAD" else SLOTS.hold(team, team_export.stream(member.team))
    except BusyError as error:
        text = _("Your team is downloading a lot right now. Wait until a download has ended, then try again.")
        return scripts.text(text, UNAVAILABLE, {"Retry-After": error.retry_after})
    return exports.attachment(content, name, ZIP)
