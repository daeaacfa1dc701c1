"""Every form that takes an amount: both spellings in each language, and what is none changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from accounts.models import Allowance, AuditEntry, CreditRequest, Transfer, User
from accounts.tests.teams.team_pages import log_in, of, page, text
from conftest import World
from jobs.calls import accounts
from jobs.models import Purchase
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases

LANGUAGES = ("en", "fr")
NO_AMOUNTS = ("", "1.2.3,4", "1e3", "NaN", "0.0000001", f"{2**63}", f"{2**64},5", f"-{2**64}")
LATER = {"token": "11111111-0000-4000-8000-000000000000"}


@dataclass(frozen=True)
class Form:
    """A form: who may send it, where and with what besides the amount, and what it made of the amount.

    besides: what isn't an amount here but is one elsewhere.
    """

    who: str
    address: Callable[[World, Server], str]
    sent: dict[str, str]
    made: Callable[[], int]
    besides: tuple[str, ...] = ("0", "-0", "-1,5", "-1.5")


def _request(world: World, _server: Server) -> str:
    asked = CreditRequest.objects.create(team=world.team, asked_by=world.bob, microcredits=7)
    return page(world, "decide_request", asked.pk)


def _purchases(_world: World, _server: Server) -> str:
    accounts.current_id()
    return reverse("purchases")


def _amount_of(kind: str) -> Callable[[], int]:
    return lambda: int(Transfer.objects.get(kind=kind, memo="asked").amount_microcredits)


FORMS = {
    "grant": Form(
        "root",
        lambda world, _: page(world, "grant_credits"),
        LATER | {"note": "asked"},
        _amount_of("grant"),
    ),
    "request": Form(
        "bob",
        lambda world, _: page(world, "ask_for_credits"),
        {"note": "asked"},
        lambda: CreditRequest.objects.get().microcredits,
    ),
    "answer to a request": Form(
        "root", _request, {}, lambda: CreditRequest.objects.get().granted_microcredits or 0
    ),
    "allowance": Form(
        "alice",
        lambda world, _: page(world, "allowance", of(world.bob, world.team).pk),
        {"period": "month", "warn_percent": "80"},
        lambda: Allowance.objects.get().limit_microcredits,
        besides=("-1,5", "-1.5"),
    ),
    "call in doubt": Form(
        "alice",
        lambda world, server: page(world, "decide_case", f"attempt-{in_doubt(world, server).pk}"),
        {"action": "charged", "reason": "asked"},
        lambda: int(AuditEntry.objects.get(action="resolve").after["charged_microcredits"]),
    ),
    "correction": Form(
        "root",
        lambda world, _: page(world, "correct_credits"),
        LATER | {"direction": "up", "reason": "asked"},
        _amount_of("adjust"),
    ),
    "purchase": Form(
        "root",
        _purchases,
        LATER | {"bought_at": "2026-01-02T03:04", "note": "asked"},
        lambda: Purchase.objects.get().microcredits,
        besides=("0", "-0"),
    ),
}


@pytest.fixture
def root(world: World) -> User:
    return User.objects.create_superuser("root@example.org")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, root: User) -> Form:
    return FORMS[request.param]


def everything() -> dict[str, list[Any]]:
    """Return all rows of the product's tables."""
    models = [model for app in ("accounts", "jobs") for model in apps.get_app_config(app).get_models()]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def send(client: Client, address: str, form: Form, amount: str, language: str) -> Any:
    client.cookies["django_language"] = language
    return client.post(address, form.sent | {"credits": amount})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("typed", ["1,5", "1.5"])
def test_a_comma_and_a_point_mean_the_same(
    world: World, server: Server, client: Client, form: Form, language: str, typed: str
) -> None:
    address = form.address(world, server)
    assert send(log_in(client, form.who), address, form, typed, language).status_code == 302
    assert form.made() == 1_500_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_no_amount_is_refused_and_nothing_written(
    world: World, server: Server, client: Client, form: Form, language: str
) -> None:
    address = form.address(world, server)
    log_in(client, form.who)
    before = everything()
    for typed in (*NO_AMOUNTS, *form.besides):
        response = send(client, address, form, typed, language)
        assert response.status_code in (200, 400), typed
        assert 'role="alert"' in text(response), typed
    assert everything() == before


def test_an_admin_of_another_team_changes_nothing(
    world: World, server: Server, client: Client, form: Form
) -> None:
    """charlie owns another team; the answer is that of a team that doesn't exist."""
    address = form.address(world, server)
    log_in(client, "charlie")
    before = everything()
    missing = address.replace(f"/{world.team.slug}/", f"/{uuid4()}/")
    for tried in (address, missing):
        assert send(client, tried, form, "1.5", "en").status_code == 404
    assert everything() == before
