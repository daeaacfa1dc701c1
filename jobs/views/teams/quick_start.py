"""The quick start for programs: samples with the reader's own host and key, limits and errors."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from accounts.models import ApiKey, Membership, Role, Scope
from accounts.teams.permissions import enter
from pixian.protocol.credentials import Credentials
from pixian.protocol.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS

LANGUAGES = {
    "curl": "curl.sh",
    "Python": "python.py",
    "Node.js": "node.mjs",
    "PHP": "php.php",
    "Ruby": "ruby.rb",
    "Java": "Java.java",
    "C#": "csharp.cs",
}
"""Languages of the samples, with their templates under ``jobs/samples``."""

PLACEHOLDER = Credentials("YOUR_API_ID", "YOUR_API_SECRET")


@dataclass(frozen=True)
class Sample:
    language: str
    text: str


@require_GET
def quick_start(request: HttpRequest, team: str) -> HttpResponse:
    member = enter(request, team)
    key = _usable_key(member)
    api_id = key.api_id if key else PLACEHOLDER.api_id
    context = {
        "team": member.team,
        "samples": samples(settings.PUBLIC_URL, Credentials(api_id, PLACEHOLDER.api_secret)),
        "key": key,
        "may_make": member.role >= Role.MEMBER,
        "may_add_webhooks": member.role >= Role.MANAGER,
        "host": settings.PUBLIC_URL,
        "megabytes": MAX_UPLOAD_BYTES >> 20,
        "megapixels": MAX_UPLOAD_PIXELS // 1_000_000,
        "per_key": settings.API_CALLS_PER_KEY,
        "per_team": settings.API_CALLS_PER_TEAM,
        "patience": settings.GATEWAY_WAIT_SECONDS,
    }
    return render(request, "jobs/quick_start.html", context)


def samples(host: str, credentials: Credentials) -> list[Sample]:
    """Return a sample in each language, for this host and key."""
    context = {"url": f"{host}/api/v2/remove-background", "credentials": credentials}
    return [
        Sample(language, render_to_string(f"jobs/samples/{name}", context).strip() + "\n")
        for language, name in LANGUAGES.items()
    ]


def _usable_key(member: Membership) -> ApiKey | None:
    """Return the member's newest key that the samples work with."""
    keys = ApiKey.objects.usable().filter(team=member.team, owner=member.user).order_by("-pk")
    return next((key for key in keys.with_owners_role() if key.allows(Scope.CUTOUTS)), None)
