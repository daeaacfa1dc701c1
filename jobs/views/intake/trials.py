"""Show what one picture becomes and what it would cost, by a free test with a watermark."""

from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts import rate_limits
from accounts.ledger.money import exact, for_plural
from accounts.models import Membership, Role
from accounts.rate_limits import Bound, TooFastError
from accounts.teams.permissions import enter
from jobs.batches.receive import submit_test
from jobs.intake.forms import UploadRefusedError
from jobs.models import Job
from jobs.views import scripts
from pixian.protocol.credits import UnreadableCreditsError, parse_credits

TESTS_PER_MINUTE = 6
PRICE_HEADER = "x-credits-calculated"


@require_POST
def test_picture(request: HttpRequest, team: str) -> HttpResponse:
    """Submit a picture as a free test, outside of any batch; answer with the address to ask for it."""
    member = enter(request, team, Role.MEMBER)
    picture = request.FILES.get("image")
    if picture is None:
        return scripts.text(_("Choose a picture first."), HTTPStatus.BAD_REQUEST)
    try:
        rate_limits.take(Bound(f"test picture of {member.user_id}", TESTS_PER_MINUTE))
        job = submit_test(member.team, member.user, uuid4(), cast("TemporaryUploadedFile", picture))
    except TooFastError as error:
        return _too_fast(error)
    except UploadRefusedError as error:
        return scripts.text(error.message, error.status)
    url = reverse("tested_picture", args=[team, job.pk])
    return JsonResponse({"url": url}, status=HTTPStatus.CREATED)


@require_GET
def tested_picture(request: HttpRequest, team: str, pk: int) -> JsonResponse:
    """Tell how far a test is, and once it is done its price and its picture."""
    member = enter(request, team)
    return JsonResponse(_shown(member, get_object_or_404(Job, team=member.team, pk=pk, test=True)))


def _shown(member: Membership, job: Job) -> dict[str, Any]:
    image = reverse("shown", args=[member.team.slug, job.pk, "after", "page"]) if job.has_result else None
    label = job.get_reason_display() or job.get_state_display()
    price = _price(job)
    return {
        "state": job.state,
        "label": label,
        "price": None if price is None else exact(price),
        "count": for_plural(price or 0),
        "image": image,
    }


def _price(job: Job) -> int | None:
    """Return the micro-credits that the upstream would charge for this picture, None if it doesn't say."""
    headers = {name.lower(): value for name, value in job.last_attempt.headers}
    try:
        return parse_credits(headers.get(PRICE_HEADER, ""))
    except UnreadableCreditsError:
        return None


def _too_fast(error: TooFastError) -> HttpResponse:
    message = _("You can test %(count)s pictures a minute. Wait %(seconds)s seconds, then try again.")
    numbers = {"count": TESTS_PER_MINUTE, "seconds": error.retry_after}
    response = scripts.text(message % numbers, HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(error.retry_after)
    return response
