"""A member's allowance on its page: set, changed, lifted, and by whom."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Allowance, User
from accounts.tests.teams.team_pages import ANSWERS, log_in, of, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def allow(client: Client, world: World, user: User, **answers: Any) -> Any:
    answers = {"credits": "8.500001", "period": "week", "warn_percent": "75"} | answers
    return client.post(page(world, "allowance", of(user, world.team).pk), answers, follow=True)


def test_an_allowance_is_set_and_changed(world: World, client: Client, mona: User) -> None:
    log_in(client, "mona")
    assert "The allowance for bob@example.org is set" in told(allow(client, world, world.bob))
    made = Allowance.objects.get()
    assert (made.limit_microcredits, made.period, made.warn_percent) == (8_500_001, "week", 75)
    shown = text(client.get(page(world, "allowance", made.member_id)))
    assert 'value="8.500001"' in shown
    allow(client, world, world.bob, credits="0", period="month")
    made.refresh_from_db()
    assert (made.limit_microcredits, made.period) == (0, "month")


def test_lifting_is_undone_by_one_button(world: World, client: Client) -> None:
    allow(log_in(client, "alice"), world, world.bob)
    address = page(world, "lift_allowance", of(world.bob, world.team).pk)
    response = client.post(address, follow=True)
    assert "no longer has an allowance" in told(response)
    assert not Allowance.objects.exists()
    for typed in ('value="8.500001"', 'value="75"', '<option value="week" selected>'):
        assert typed in text(response)
    assert client.post(address, follow=True).status_code == 200


@pytest.mark.parametrize(
    "answers",
    [
        {"credits": ""},
        {"credits": "-1"},
        {"credits": "0.0000001"},
        {"credits": "1e12"},
        {"credits": "NaN"},
        {"credits": "many"},
        {"period": "year"},
        {"warn_percent": "0"},
        {"warn_percent": "101"},
        {"warn_percent": ""},
    ],
)
def test_an_allowance_that_is_none_is_refused(world: World, client: Client, answers: dict[str, str]) -> None:
    response = allow(log_in(client, "alice"), world, world.bob, **answers)
    assert 'role="alert"' in text(response)
    assert not Allowance.objects.exists()
    kept = {"credits": "8.500001", "warn_percent": "75"} | answers
    assert all(
        f'value="{kept[name]}"' in text(response) for name in ("credits", "warn_percent") if kept[name]
    )


@pytest.mark.parametrize("who", ["alice", "mona"])
def test_a_manager_limits_neither_owners_nor_managers(
    world: World, client: Client, mona: User, who: str
) -> None:
    log_in(client, "mona")
    target = of(User.objects.get(email=f"{who}@example.org"), world.team)
    assert page(world, "allowance", target.pk) not in text(client.get(page(world)))
    for name in ("allowance", "lift_allowance"):
        assert client.post(page(world, name, target.pk), ANSWERS).status_code == 403
    log_in(client, "alice").post(page(world, "allowance", target.pk), ANSWERS)
    assert Allowance.objects.get().member == target
