"""Break usage down for its page: what each person, key, batch and style has of the whole."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import TextChoices
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Team
from jobs.audit import usage
from jobs.audit.usage import By, GroupUsage, Usage
from jobs.search.date_range import DateRange
from jobs.views.credits.charts import percent

BATCHES = 20
"""Shown with their names. The page sums up the others in one line."""


@dataclass(frozen=True)
class Part:
    """A line of a breakdown. bar: its credits in percent of the whole; url: of what it is."""

    name: str
    usage: Usage
    bar: str
    url: str = ""


@dataclass(frozen=True)
class Breakdown:
    parts: list[Part]
    note: str = ""


class Of(TextChoices):
    """Name what usage is broken down by, one at a time: each reads all of the period's rows."""

    PERSON = "person", gettext_lazy("By person")
    KEY = "key", gettext_lazy("By API key")
    BATCH = "batch", gettext_lazy("By batch")
    PRESET = "preset", gettext_lazy("By preset")


def breakdown(of: Of, team: Team, span: DateRange, whole: Usage, *, links: bool) -> Breakdown:
    """Break a team's usage down; with ``links`` to its batches, which only members may open."""
    match of:
        case Of.PERSON:
            people = usage.by_group(team, span, By.MEMBER)
            return Breakdown(_parts(people, whole, lambda each: str(each.group)))
        case Of.KEY:
            keys = usage.by_group(team, span, By.KEY)
            return Breakdown(_parts(keys, whole, lambda each: each.name or _("In the browser")))
        case Of.BATCH:
            batches = usage.by_batch(team, span, BATCHES)
            return Breakdown([*_batches(team, batches, whole, links=links), *_others(batches, whole)])
        case Of.PRESET:
            presets = _parts(usage.by_preset(team, span), whole, _preset)
            return Breakdown(presets, _("By what each batch becomes now."))


def _parts(groups: Iterable[GroupUsage], whole: Usage, name: Callable[[GroupUsage], str]) -> list[Part]:
    """Return a line for each group, the dearest first."""
    parts = [Part(name(group), group.usage, percent(group.usage.booked, whole.booked)) for group in groups]
    return sorted(parts, key=lambda part: (-part.usage.booked, -part.usage.duplicates, part.name))


def _batches(team: Team, groups: Iterable[GroupUsage], whole: Usage, *, links: bool) -> Iterator[Part]:
    for group in groups:
        url = reverse("batch", args=[team.slug, group.group]) if links and group.group else ""
        name = group.name or _("Programs’ calls, outside of batches")
        yield Part(name, group.usage, percent(group.usage.booked, whole.booked), url)


def _others(shown: list[GroupUsage], whole: Usage) -> Iterator[Part]:
    if len(shown) >= BATCHES and (rest := whole - usage.total(shown)) != Usage():
        yield Part(_("All other batches"), rest, percent(rest.booked, whole.booked))


def _preset(group: GroupUsage) -> str:
    if group.group is None:
        return _("Programs’ calls, outside of batches")
    return " + ".join(name or _("A style of its own") for name in group.group) or _("Plain cut-out")
