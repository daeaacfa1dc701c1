"""Gather what needs attention in a batch into groups, each with what it means and one thing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.ledger.money import display, for_plural, rounded_up
from jobs.batches import register
from jobs.batches.progress import Progress
from jobs.calls import kept_jobs
from jobs.models import Attempt, Batch, BatchFile, Job

LISTED = 200
"""Pictures or files that a group names."""

State = Job.State
Problem = BatchFile.Problem


@dataclass(frozen=True)
class Action:
    """One thing to do about a group.

    name: ``ask`` is for the page; all others are posted to the batch's control with these fields.
    """

    name: str
    label: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Pictures of a batch that share a problem or a reason to wait."""

    key: str
    count: int
    title: str
    text: str
    tone: str
    action: Action | None = None
    jobs: list[int] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)


def groups(progress: Progress) -> list[Group]:
    """Return the groups that have members, in the order in which they want to be settled."""
    if progress.batch.erased_at:
        return []
    return [group for find in FINDERS for group in find(progress)]


def _kept(progress: Progress) -> Iterator[Group]:
    if not (count := progress.states[State.KEPT]):
        return
    money, batch = progress.money, progress.batch
    lacking = rounded_up(money.lacking)
    title = ngettext("%(count)s waits for credits", "%(count)s wait for credits", count) % {"count": count}
    action = None
    if batch.paused_at:
        text = ngettext(
            "They may cost up to %(credits)s credit, and start once the batch is resumed.",
            "They may cost up to %(credits)s credits, and start once the batch is resumed.",
            for_plural(money.needed),
        )
        text %= {"credits": display(money.needed)}
    elif lacking:
        values = {"credits": display(lacking)}
        text = ngettext(
            "%(credits)s credit more is needed; they start by themselves once there are enough.",
            "%(credits)s credits more are needed; they start by themselves once there are enough.",
            for_plural(lacking),
        )
        text %= values
        label = ngettext("Ask for %(credits)s credit", "Ask for %(credits)s credits", for_plural(lacking))
        action = Action("ask", label % values, values)
    else:
        text = _(
            "They start by themselves, in order: in a moment, or once the allowance of their owner renews."
        )
    unpaid = kept_jobs.without_payer(batch).count()
    text = " ".join((text, *_held_up(batch, unpaid)))
    if unpaid:
        action = Action("take_over", _("Pay for those myself"), {"action": "take_over"})
    yield Group("kept", count, title, text, "doubt", action, _jobs(progress, State.KEPT))


def _held_up(batch: Batch, unpaid: int) -> Iterator[str]:
    """Say how many of the batch's kept pictures no waiting helps, and why. unpaid: those without a payer."""
    if large := kept_jobs.beyond_allowance(batch):
        text = ngettext(
            "%(count)s of them may cost more than the whole allowance that pays for it, and starts once "
            "that is raised.",
            "%(count)s of them may cost more than the whole allowance that pays for them, and start once "
            "that is raised.",
            large,
        )
        yield text % {"count": large}
    if unpaid:
        text = ngettext(
            "%(count)s of them was to be paid by a person who may not spend any more.",
            "%(count)s of them were to be paid by a person who may not spend any more.",
            unpaid,
        )
        yield text % {"count": unpaid}


def _paused(progress: Progress) -> Iterator[Group]:
    if not progress.batch.paused_at:
        return
    count = progress.states[State.PAUSED]
    title = ngettext("%(count)s paused", "%(count)s paused", count) % {"count": count}
    held = progress.money.held
    text = ngettext(
        "Nothing new begins. What is being cut out is finished, and %(credits)s credit stays held.",
        "Nothing new begins. What is being cut out is finished, and %(credits)s credits stay held.",
        for_plural(held),
    )
    text %= {"credits": display(held)}
    action = Action("resume", _("Resume"), {"action": "resume"})
    yield Group("paused", count, title, text, "wait", action, _jobs(progress, State.PAUSED))


def _missing(progress: Progress) -> Iterator[Group]:
    files = progress.batch.files.missing().order_by("number") if progress.missing else None
    if files is None:
        return
    if count := progress.fetching:
        title = ngettext("%(count)s is being fetched", "%(count)s are being fetched", count)
        text = _("The server fetches the addresses one after the other; this page needn't stay open.")
        listed = _files(files.filter(fetch_after__isnull=False))
        yield Group("fetching", count, title % {"count": count}, text, "run", files=listed)
    if count := progress.missing - progress.fetching:
        title = ngettext("%(count)s isn't uploaded yet", "%(count)s aren't uploaded yet", count)
        text = _(
            "The tab that uploads has to stay open. If it was closed, choose the same files again: those "
            "that are here are recognised, and only the missing ones are sent. Nothing is held for them."
        )
        # While a tab uploads them it would cut that off.
        action = None
        if register.is_abandoned(progress.batch):
            action = Action("forget_missing", _("Don't wait for them"), {"action": "forget_missing"})
        listed = _files(files.filter(fetch_after=None))
        yield Group("missing", count, title % {"count": count}, text, "wait", action, files=listed)


def _refused(progress: Progress) -> Iterator[Group]:
    if not (count := progress.refused):
        return
    files = progress.batch.files.refused().order_by("number")
    problems = set(files.order_by().values_list("problem", flat=True).distinct())
    title = _title_of(problems.pop() if len(problems) == 1 else "", count) % {"count": count}
    text = _("Nothing was held or charged for them; the others go on.")
    action = Action("forget", _("Remove from batch"), {"action": "forget"})
    yield Group("refused", count, title, text, "fail", action, files=_files(files))


def _title_of(problem: str, count: int) -> str:
    match problem:
        case Problem.UNREADABLE:
            return ngettext("%(count)s can't be read", "%(count)s can't be read", count)
        case Problem.TOO_LARGE:
            return ngettext("%(count)s is too large", "%(count)s are too large", count)
        case Problem.CHANGED:
            return ngettext("%(count)s changed meanwhile", "%(count)s changed meanwhile", count)
        case Problem.UNREACHABLE:
            return ngettext("%(count)s can't be fetched", "%(count)s can't be fetched", count)
        case Problem.FORBIDDEN:
            return ngettext("%(count)s may not be fetched", "%(count)s may not be fetched", count)
        case _:
            return ngettext("%(count)s file can't be cut out", "%(count)s files can't be cut out", count)


def _failed(progress: Progress) -> Iterator[Group]:
    if not (count := progress.states[State.FAILED]):
        return
    title = ngettext("%(count)s failed", "%(count)s failed", count) % {"count": count}
    reasons = {
        Job.Reason(reason).label
        for reason in _in_state(progress, State.FAILED).values_list("reason", flat=True).distinct()
        if reason
    }
    text = str(reasons.pop()) if len(reasons) == 1 else _("Each picture says why.")
    most = progress.estimates[State.FAILED]
    label = ngettext(
        "Retry · up to %(credits)s credit", "Retry · up to %(credits)s credits", for_plural(most)
    )
    label %= {"credits": display(most)}
    action = Action("retry", label, {"action": "retry", "state": State.FAILED.value})
    yield Group("failed", count, title, text, "fail", action, _jobs(progress, State.FAILED))


def _in_doubt(progress: Progress) -> Iterator[Group]:
    if not (count := progress.states[State.IN_DOUBT]):
        return
    title = ngettext("%(count)s in doubt", "%(count)s in doubt", count) % {"count": count}
    waiting = Attempt.objects.filter(job__batch=progress.batch, job__state=State.IN_DOUBT)
    holds = waiting.filter(state=Attempt.State.IN_DOUBT).values_list("hold__amount_microcredits", flat=True)
    held = sum(filter(None, holds))
    text = ngettext(
        "Nobody knows if these calls were charged. %(credits)s credit stays held until the account's "
        "balance or a manager decides; nothing is sent again by itself.",
        "Nobody knows if these calls were charged. %(credits)s credits stay held until the account's "
        "balance or a manager decides; nothing is sent again by itself.",
        for_plural(held),
    )
    text %= {"credits": display(held)}
    yield Group("in_doubt", count, title, text, "doubt", None, _jobs(progress, State.IN_DOUBT))


def _cancelled(progress: Progress) -> Iterator[Group]:
    if not (count := progress.states[State.CANCELLED]):
        return
    title = ngettext("%(count)s cancelled", "%(count)s cancelled", count) % {"count": count}
    text = _("They weren't sent, and what was held for them was given back.")
    action = Action("undo", _("Undo"), {"action": "retry", "state": State.CANCELLED.value})
    yield Group("cancelled", count, title, text, "wait", action, _jobs(progress, State.CANCELLED))


FINDERS: tuple[Callable[[Progress], Iterator[Group]], ...] = (
    _paused,
    _kept,
    _missing,
    _refused,
    _failed,
    _in_doubt,
    _cancelled,
)


def _in_state(progress: Progress, state: State) -> QuerySet[Job]:
    return progress.batch.jobs.filter(state=state).order_by()


def _jobs(progress: Progress, state: State) -> list[int]:
    return list(_in_state(progress, state).order_by("number", "pk").values_list("pk", flat=True)[:LISTED])


def _files(files: QuerySet[BatchFile]) -> list[dict[str, str]]:
    rows: Any = files.values_list("folder", "name", "url", "problem", "message")[:LISTED]
    return [
        {
            "name": f"{folder}/{name}" if folder else name or url,
            "message": message or (str(Problem(problem).label) if problem else ""),
        }
        for folder, name, url, problem, message in rows
    ]
