"""Offer the values that a history can be filtered by, each with the address that chooses it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Choices
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Team, User
from jobs.models import Batch, Job
from jobs.models.verdicts import Verdict
from jobs.search.facets import Facets
from jobs.search.forms import FilterForm

SHOWN = 12
"""Of each the people, the keys and the batches: those with the most pictures."""

TESTS = {True: ("yes", _("tests only")), False: ("no", _("without tests"))}


@dataclass(frozen=True)
class Chip:
    """query: of the address that has this value as well, or no longer if it is chosen."""

    label: str
    query: str
    count: str
    is_chosen: bool


@dataclass(frozen=True)
class Group:
    label: str
    chips: list[Chip]


@dataclass(frozen=True)
class Value:
    """count: of the pictures that have it; None while they aren't counted."""

    text: str
    label: str
    count: int | None = None


def groups(team: Team, form: FilterForm, facets: Facets | None) -> list[Group]:
    """Return what to filter by; without counts, all that the team has."""
    counts: Mapping[str, Counter[Any]] = facets.counts if facets else {}
    values = {
        "state": (_("State"), _choices(Job.State, counts.get("state"))),
        "verdict": (_("Verdict"), _choices(Verdict, counts.get("verdict"))),
        "origin": (_("Source"), _choices(Job.Origin, counts.get("origin"))),
        "test": (_("Tests"), _tests(counts.get("test"))),
        "person": (_("Person"), _people(team, counts.get("created_by"))),
        "key": (_("Key"), _keys(team, counts.get("api_key"))),
        "batch": (_("Batch"), _batches(team, counts.get("batch"))),
    }
    made = [Group(str(label), _chips(form, name, found)) for name, (label, found) in values.items()]
    return [group for group in made if len(group.chips) > 1 or any(chip.is_chosen for chip in group.chips)]


def _chips(form: FilterForm, name: str, values: Iterable[Value]) -> list[Chip]:
    chosen, found = form.data.get(name) or "", list(values)
    if chosen and chosen not in {value.text for value in found}:
        found.append(Value(chosen, str(_("chosen")), 0))
    return [
        Chip(
            value.label,
            form.query(**{name: None if value.text == chosen else value.text}),
            "" if value.count is None else number_format(value.count, force_grouping=True),
            value.text == chosen,
        )
        for value in found
    ]


def _choices(choices: type[Choices], counts: Counter[str] | None) -> list[Value]:
    if counts is None:
        return [Value(value, str(label)) for value, label in choices.choices]
    return [Value(value, str(label), counts[value]) for value, label in choices.choices if counts[value]]


def _tests(counts: Counter[bool] | None) -> list[Value]:
    return [
        Value(text, str(label), None if counts is None else counts[is_test])
        for is_test, (text, label) in TESTS.items()
        if counts is None or counts[is_test]
    ]


def _people(team: Team, counts: Counter[int] | None) -> list[Value]:
    people = User.objects.order_by("email")
    people = people.filter(memberships__team=team) if counts is None else _most(people, counts)
    return _counted([(person.pk, str(person.pk), str(person)) for person in people[:SHOWN]], counts)


def _keys(team: Team, counts: Counter[int | None] | None) -> list[Value]:
    keys = ApiKey.objects.filter(team=team)
    keys = keys.order_by("-pk") if counts is None else _most(keys, counts)
    return _counted([(key.pk, key.api_id, key.name) for key in keys[:SHOWN]], counts)


def _batches(team: Team, counts: Counter[UUID | None] | None) -> list[Value]:
    batches = Batch.objects.filter(team=team)
    batches = batches.order_by("-created_at") if counts is None else _most(batches, counts)
    return _counted([(batch.pk, str(batch.pk), batch.name) for batch in batches[:SHOWN]], counts)


def _most(rows: Any, counts: Counter[Any]) -> Any:
    return rows.filter(pk__in=[key for key, _count in counts.most_common(SHOWN + 1) if key is not None])


def _counted(rows: Iterable[tuple[Any, str, str]], counts: Counter[Any] | None) -> list[Value]:
    if counts is None:
        return [Value(text, label) for _key, text, label in rows]
    values = [Value(text, label, counts[key]) for key, text, label in rows]
    return sorted(values, key=lambda value: -(value.count or 0))
