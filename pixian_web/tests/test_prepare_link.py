"""``manage.py prepare`` gives the first owner a way in, hides it from later readers, and grants a budget."""

import io
import os
import re

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import Team, User
from pixian_web.management.commands import prepare

LINK = re.compile(r"http://\S+/in/\S+")


@pytest.fixture(autouse=True)
def _nothing_to_prepare(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip tables and static files, which exist, and leave the test process's umask alone."""
    monkeypatch.setattr(prepare, "call_command", lambda *_arguments, **_options: None)
    monkeypatch.setattr(os, "umask", lambda _mask: 0)


def printed() -> str:
    out = io.StringIO()
    call_command("prepare", stdout=out)
    return out.getvalue()


def test_the_first_start_prints_a_link_that_logs_in(client: Client, settings: Settings) -> None:
    link = LINK.search(printed())
    assert link
    client.get(link.group().removeprefix(settings.PUBLIC_URL), follow=True)
    assert User.objects.get(pk=client.session["_auth_user_id"]).is_superuser


def test_each_start_prints_a_link_until_a_superuser_has_signed_in(client: Client) -> None:
    printed()
    assert LINK.search(printed())
    client.force_login(User.objects.get())
    told = printed()
    assert not LINK.search(told)
    assert "manage.py login_link owner@localhost" in told
    assert (User.objects.count(), Team.objects.count()) == (1, 1)


def test_a_superuser_of_ones_own_who_has_logged_in_is_enough(client: Client) -> None:
    printed()
    client.force_login(User.objects.create_superuser("root@example.org"))
    assert not LINK.search(printed())


def test_someone_else_who_logs_in_changes_nothing(client: Client) -> None:
    printed()
    client.force_login(User.objects.create_user("dora@example.org"))
    assert LINK.search(printed())


def test_an_owner_who_was_locked_out_is_not_let_in_again() -> None:
    printed()
    User.objects.update(is_active=False)
    assert not LINK.search(printed())
    assert User.objects.count() == 1


@pytest.mark.parametrize("credits_", [10_000, 0])
def test_the_first_team_gets_its_budget_once(client: Client, settings: Settings, credits_: int) -> None:
    settings.FIRST_TEAM_MICROCREDITS = credits_ * MICROCREDITS
    printed()
    printed()
    team = Team.objects.get()
    assert ledger.balances(team).available == credits_ * MICROCREDITS
    client.force_login(User.objects.get())
    shown = client.get(reverse("credits", args=[team.slug])).content.decode()
    assert ("Opening credits" in shown) == bool(credits_)
    assert "Grant credits" in shown  # the first owner is staff
