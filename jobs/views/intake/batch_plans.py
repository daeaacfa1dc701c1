"""Tell a script what a batch will cost before it starts, and take over what was cut out before."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger.money import display, for_plural
from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.batches import register, reuse
from jobs.batches.plan import Plan, plan
from jobs.views import scripts


@require_GET
def show_plan(request: HttpRequest, team: str, batch: UUID) -> JsonResponse:
    """Tell what the batch's missing files will cost, and how many of them can begin now.

    With ``?reuse=yes`` those that were cut out before are listed, but not counted: they cost nothing.
    """
    member = enter(request, team)
    reusing = request.GET.get("reuse") == "yes"
    return JsonResponse(_shown(plan(scripts.batch_of(member, batch), member.user, reusing=reusing)))


@require_POST
def use_again(request: HttpRequest, team: str, batch: UUID) -> JsonResponse:
    """Finish files from the store, at 0 credits; answer with those that have a job now."""
    member = enter(request, team, Role.MEMBER)
    its_batch = scripts.batch_of(member, batch)
    asked = scripts.listed(scripts.json_object(request), "request_ids", register.MAX_FILES)
    reused = reuse.use_again(its_batch, member.user, list(map(scripts.uuid, asked)))
    return JsonResponse({"reused": list(map(str, reused))})


def _shown(plan: Plan) -> dict[str, Any]:
    """Return the plan with its amounts in the reader's notation.

    counts: of those that a text names, by which it says *credit* or *credits*.
    """
    figures, means = plan.figures, plan.means
    amounts = {
        "about": plan.about,
        "at_most": figures.at_most,
        "owed": means.owed,
        "missing": figures.missing,
        "after": figures.after,
    }
    return {
        "pictures": plan.pictures,
        "megapixels": display(plan.pixels),  # a million to one, as credits and micro-credits are
        **{name: None if amount is None else display(amount) for name, amount in amounts.items()},
        "counts": {name: for_plural(amount or 0) for name, amount in amounts.items()},
        "available": {
            "pool": display(means.pool),
            "allowance": None if means.allowance is None else display(means.allowance),
        },
        "fits": figures.fits,
        "duplicates": [{"request_id": str(each.request_id), "name": each.name} for each in plan.duplicates],
        "unknown": plan.unknown,
    }
