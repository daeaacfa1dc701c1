"""Describe a batch's state for its page: the bar, the counts, the credits and the groups."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from accounts.ledger.money import display
from accounts.models import Membership, Role, Team
from jobs.batches.groups import Action, Group, groups
from jobs.batches.pace import pace_text
from jobs.batches.progress import PROBLEMS, WAITING, Progress, progress
from jobs.models import Batch, Job, Rendition
from jobs.retention import permissions

State = Job.State
BAR = {"done": (State.DONE,), "run": (State.RUNNING,), "wait": WAITING, "fail": PROBLEMS}
"""The segments of the bar, in their order."""


def page(batch: Batch, member: Membership) -> dict[str, Any]:
    """Return what the page's template shows besides its tiles."""
    shown = progress(batch)
    may_erase = shown.batch.erased_at is None and permissions.may_erase(member, shown.batch.created_by_id)
    return of(shown, member) | {"may_spend": member.role >= Role.MEMBER, "may_erase": may_erase}


def of(shown: Progress, member: Membership) -> dict[str, Any]:
    """Return the state as the page's script gets it."""
    may_spend = member.role >= Role.MEMBER
    return {
        "name": shown.batch.name,
        "paused": shown.batch.paused_at is not None,
        "total": shown.total,
        "counts": _counts(shown),
        "chips": _chips(shown),
        "bar": _bar(shown),
        "summary": _("%(done)s of %(total)s done")
        % {
            "done": number_format(shown.done, force_grouping=True),
            "total": number_format(shown.total, force_grouping=True),
        },
        "left": shown.time_left,
        "pace": pace_text(shown.pace),
        "credits": _credits(shown),
        "groups": [_group(group, shown.batch, may_spend=may_spend) for group in groups(shown)],
        "outputs": shown.outputs,
        "renditions": {state.value: shown.renditions[state] for state in Rendition.State},
    }


def balance(request: HttpRequest, team: Team) -> str:
    """Return the team's balance as the page's header shows it."""
    return render_to_string("accounts/_balance.html", {"team": team, "user": request.user}, request)


def _counts(shown: Progress) -> dict[str, int]:
    counts = {state.value: shown.states[state] for state in State}
    return counts | {
        "missing": shown.missing,
        "refused": shown.refused,
        "approved": shown.approved,
        "rejected": shown.rejected,
    }


def _chips(shown: Progress) -> dict[str, int]:
    """Return the pictures behind each filter of the grid."""
    return {
        "all": sum(shown.states.values()),
        "done": shown.done,
        "waiting": sum(shown.states[state] for state in WAITING),
        "problems": sum(shown.states[state] for state in PROBLEMS),
        "approved": shown.approved,
    }


def _bar(shown: Progress) -> list[dict[str, str]]:
    """Return the segments of the bar, each with its place and width in percent."""
    counts = {tone: sum(shown.states[state] for state in states) for tone, states in BAR.items()}
    counts["wait"] += shown.missing
    counts["fail"] += shown.refused
    segments, before = [], 0.0
    for tone, count in counts.items():
        width = 100 * count / (shown.total or 1)
        segments.append({"tone": tone, "x": f"{before:.2f}%", "width": f"{width:.2f}%"})
        before += width
    return segments


def _credits(shown: Progress) -> dict[str, str]:
    money = shown.money
    amounts = {"spent": money.spent, "held": money.held, "available": money.team.available}
    amounts |= {"kept_needs": money.lacking, "rest": money.rest}
    return {name: display(amount) for name, amount in amounts.items()}


def _group(group: Group, batch: Batch, *, may_spend: bool) -> dict[str, Any]:
    action = _action(group.action, batch) if group.action and may_spend else None
    return asdict(group) | {"action": action}


def _action(action: Action, batch: Batch) -> dict[str, Any]:
    if action.name == "ask":
        query = urlencode(action.fields | {"batch": batch.pk})
        url = f"{reverse('credits', args=[batch.team.slug])}?{query}"
        return {"name": action.name, "label": action.label, "url": url, "fields": {}}
    control = reverse("batch_control", args=[batch.team.slug, batch.pk])
    return {"name": action.name, "label": action.label, "url": control, "fields": action.fields}
