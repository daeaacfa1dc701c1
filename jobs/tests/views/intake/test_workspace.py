"""Dropping pictures: who may, what is taken in, and what each refusal says and leaves behind."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.money import display
from accounts.models import Membership
from conftest import World, small_png
from jobs.views import hold_errors

SCRIPT = {"HX-Request": "true"}


def file(content: bytes | None = None, name: str = "photo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, small_png() if content is None else content, "image/png")


def page(world: World, name: str = "workspace", *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize(
    ("who", "status", "may_upload"),
    [("alice", 200, True), ("bob", 200, True), ("vera", 200, False), ("charlie", 404, False)],
)
def test_who_sees_the_page(world: World, client: Client, who: str, status: int, may_upload: bool) -> None:
    client.force_login(getattr(world, who))
    response = client.get(page(world))
    assert response.status_code == status
    assert (f'action="{page(world, "upload")}"' in text(response)) == may_upload


def test_no_team_is_like_a_team_of_others(world: World, client: Client) -> None:
    client.force_login(world.charlie)
    others, none = client.get(page(world)), client.get(reverse("workspace", args=["no-such-team"]))
    assert (others.status_code, none.status_code) == (404, 404)
    token = re.compile(r'value="\w{64}"')
    assert token.sub("", text(others)) == token.sub("", text(none))


@pytest.mark.parametrize("name", ["workspace", "upload", "batch"])
def test_strangers_are_sent_to_the_log_in(world: World, client: Client, name: str) -> None:
    address = page(world, name, *([uuid4()] if name == "batch" else []))
    ask = client.post if name == "upload" else client.get
    response = ask(address)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{reverse('account_login')}?next={address}"
    told = ask(address, headers=SCRIPT)
    assert told.status_code == 401
    assert "signed out" in text(told)


@pytest.mark.parametrize(("name", "method"), [("workspace", "post"), ("upload", "get"), ("batch", "post")])
def test_each_address_has_its_method(world: World, client: Client, name: str, method: str) -> None:
    client.force_login(world.alice)
    address = page(world, name, *([uuid4()] if name == "batch" else []))
    assert getattr(client, method)(address).status_code == 405


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time to 4 March, in the middle of a day and of a month."""
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 3, 4, 12, tzinfo=UTC))


def allow(world: World, credits_: int, **more: Any) -> None:
    """Give bob a daily allowance of which he has already spent 8.5 credits."""
    ledger.hold(world.team, 8_500_000, key="before", reference="", actor=world.bob)
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=credits_ * CREDIT, period="day", **more)


def test_a_keys_allowance_is_explained_apart_from_the_users_own(world: World, noon: None) -> None:
    key = keys.create(world.team, world.bob, "shop")[0]
    allowances.grant(key, limit=CREDIT, period="month")
    with pytest.raises(ledger.AllowanceUsedUpError) as caught:
        ledger.hold(world.team, 2 * CREDIT, key="a", reference="", actor=world.bob, api_key=key)
    assert "the API key's allowance has only 1 left: 0 of 1 per month are used" in hold_errors.message_for(
        caught.value
    )
    assert "1 April 2026, 00:00" in hold_errors.message_for(caught.value)


@pytest.mark.parametrize(("credits_", "tone"), [(8, "fail"), (9, "doubt"), (10, "doubt"), (11, "")])
def test_the_users_allowance_is_shown_beside_the_balance(
    world: World, client: Client, credits_: int, tone: str
) -> None:
    allow(world, credits_, warn_percent=85)
    left = display(max(0, credits_ * CREDIT - 8_500_000))
    client.force_login(world.bob)
    for address in (page(world), page(world, "history")):
        shown = re.sub(r"\s+", " ", text(client.get(address)))
        assert f"8.5 of {credits_} credits used today, {left} left" in shown
        assert f'class="state {tone}"' in shown
    client.force_login(world.alice)
    assert "credits used today" not in text(client.get(page(world)))
