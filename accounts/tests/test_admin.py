"""People and teams are kept in the admin; the books can be read there, never written."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Invitation, LedgerAccount, Membership, Role, Team, Transfer, User
from accounts.teams import invitations
from conftest import World

pytestmark = pytest.mark.both_databases

BOOKS = ["ledgeraccount", "transfer"]
WRITTEN_ELSEWHERE = ["allowanceuse", "adjustment", "creditrequest"]
NO_MEMBERSHIPS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
PASSWORD = "a rather long sentence"


@pytest.fixture
def admin(world: World, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org", PASSWORD))
    return client


def address(model: str, page: str, *args: Any) -> str:
    return reverse(f"admin:accounts_{model}_{page}", args=args)


def books() -> list[dict[str, Any]]:
    return [dict(row) for rows in (Transfer.objects, LedgerAccount.objects) for row in rows.values()]


@pytest.mark.parametrize("model", [User, Team, LedgerAccount, Transfer])
def test_lists_and_pages_open(admin: Client, model: type[User | Team | LedgerAccount | Transfer]) -> None:
    name = model._meta.model_name or ""
    assert admin.get(address(name, "changelist"), {"q": "Aurora"}).status_code == 200
    for row in model._default_manager.all():
        assert admin.get(address(name, "change", row.pk)).status_code == 200


def test_a_superuser_logs_in_there_by_e_mail(world: World, client: Client) -> None:
    User.objects.create_superuser("root@example.org", PASSWORD)
    asked = client.get(reverse("admin:index"), follow=True)
    assert asked.redirect_chain[-1][0].startswith(reverse("account_login"))
    answers = {"login": "root@example.org", "password": PASSWORD, "next": reverse("admin:index")}
    assert client.post(reverse("account_login"), answers).headers["Location"] == reverse("admin:index")
    assert client.get(reverse("admin:index")).status_code == 200


def test_members_of_a_team_have_no_business_there(world: World, client: Client) -> None:
    client.force_login(world.alice)
    for page in (reverse("admin:index"), address("transfer", "changelist"), address("user", "changelist")):
        assert client.get(page).status_code == 302


@pytest.mark.parametrize("model", BOOKS)
@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_the_books_are_not_written_there(admin: Client, world: World, model: str, page: str) -> None:
    held = ledger.hold(world.team, CREDIT, key="hold:1", reference="job:1")
    before = books()
    row = held.pk if model == "transfer" else held.debit.pk
    target = address(model, page, *([] if page == "add" else [row]))

    answers = {
        "debit": held.debit.pk,
        "credit": held.credit.pk,
        "amount_microcredits": 7,
        "balance_microcredits": 7,
        "kind": "grant",
        "idempotency_key": "mine",
        "post": "yes",
    }
    assert admin.post(target, answers).status_code == 403
    assert books() == before


@pytest.mark.parametrize("model", BOOKS)
def test_nor_are_they_by_an_action_on_the_list(admin: Client, model: str) -> None:
    before = books()
    answers = {
        "action": "delete_selected",
        "_selected_action": [str(row["id"]) for row in before],
        "post": "yes",
    }
    admin.post(address(model, "changelist"), answers)
    assert books() == before


@pytest.mark.parametrize("model", WRITTEN_ELSEWHERE)
def test_other_money_is_only_read_there(admin: Client, model: str) -> None:
    assert admin.get(address(model, "changelist")).status_code == 200
    assert admin.get(address(model, "add")).status_code == 403


def test_an_invitation_can_be_seen_and_revoked_there_but_not_made(admin: Client, world: World) -> None:
    row = invitations.invite(world.team, "dora@example.org", Role.MEMBER, world.alice).invitation
    assert "dora@example.org" in admin.get(address("invitation", "changelist")).content.decode()
    shown = admin.get(address("invitation", "change", row.pk))
    assert (shown.status_code, row.token_sha256 in shown.content.decode()) == (200, False)
    assert admin.post(address("invitation", "change", row.pk), {"role": 4}).status_code == 403
    assert admin.get(address("invitation", "add")).status_code == 403
    admin.post(address("invitation", "delete", row.pk), {"post": "yes"})
    assert not Invitation.objects.exists()


def add(admin: Client, email: str, **more: Any) -> int:
    answers = {"email": email, "password1": PASSWORD, "password2": PASSWORD} | NO_MEMBERSHIPS | more
    return admin.post(address("user", "add"), answers).status_code


def test_a_user_is_added(admin: Client) -> None:
    assert add(admin, "dora@example.org") == 302
    dora = User.objects.get(email="dora@example.org")
    assert authenticate(None, email="dora@example.org", password=PASSWORD) == dora
    assert (dora.is_staff, dora.is_superuser) == (False, False)


def test_a_user_is_added_however_the_address_is_typed(admin: Client) -> None:
    assert add(admin, "Dora@Example.org") == 302
    assert User.objects.filter(email="dora@example.org").exists()


def test_a_user_who_joined_in_the_hour_that_clocks_repeat_can_be_changed(
    admin: Client, world: World, settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    joined = datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    User.objects.filter(pk=world.bob.pk).update(date_joined=joined, last_login=joined)
    page = address("user", "change", world.bob.pk)
    shown = admin.get(page).context["adminform"].form
    dates = {
        f"{name}_{part}": value
        for name in ("date_joined", "last_login")
        if name in shown.fields
        for part, value in enumerate(shown[name].field.widget.decompress(shown[name].value()))
    }
    answers = {"email": "bob@example.org", "first_name": "Bob", "is_active": "on"} | NO_MEMBERSHIPS
    assert admin.post(page, answers | dates).status_code == 302
    bob = User.objects.get(pk=world.bob.pk)
    assert (bob.first_name, bob.date_joined, bob.last_login) == ("Bob", joined, joined)


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@example.org"])
def test_an_address_is_taken_once(admin: Client, email: str) -> None:
    assert add(admin, email) == 200
    assert User.objects.filter(email__iexact=email).count() == 1


def test_a_user_is_put_into_a_team_with_a_role(admin: Client, world: World) -> None:
    membership = {"memberships-0-team": world.team.pk, "memberships-0-role": Role.VIEWER.value}
    assert add(admin, "dora@example.org", **membership, **{"memberships-TOTAL_FORMS": 1}) == 302
    assert Membership.objects.get(user__email="dora@example.org").role == Role.VIEWER
    assert world.team.memberships.count() == 4


def test_only_the_newest_memberships_are_on_a_page(
    admin: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a large team is found in the list of memberships, and stays as it is."""
    monkeypatch.setattr("accounts.admin.MAX_MEMBERSHIPS", 2)
    page = admin.get(address("team", "change", world.team.pk))
    formset = page.context["inline_admin_formsets"][0].formset
    shown = [form.instance for form in formset.initial_forms]
    assert {member.user for member in shown} == {world.bob, world.vera}
    answers = {
        "name": "Borealis",
        "slug": "aurora",
        "memberships-TOTAL_FORMS": "2",
        "memberships-INITIAL_FORMS": "2",
    }
    for number, member in enumerate(shown):
        answers |= {
            f"memberships-{number}-id": str(member.pk),
            f"memberships-{number}-team": str(world.team.pk),
            f"memberships-{number}-user": str(member.user_id),
            f"memberships-{number}-role": str(Role.VIEWER.value),
        }
    assert admin.post(address("team", "change", world.team.pk), answers).status_code == 302
    assert sorted(world.team.memberships.values_list("role", flat=True)) == [1, 1, 4]
    listed = admin.get(address("membership", "changelist"), {"team__id__exact": world.team.pk})
    assert "alice@example.org" in listed.content.decode()


@pytest.mark.parametrize("spends", [True, False])
def test_a_user_who_spent_is_not_deleted(admin: Client, world: World, spends: bool) -> None:
    """Django would load all that refers to the user, which may be a million rows, only to refuse it."""
    if spends:
        ledger.hold(world.team, CREDIT, key="h", reference="job:1:1", actor=world.vera)
    deleted = admin.post(address("user", "delete", world.vera.pk), {"post": "yes"})
    assert deleted.status_code == (403 if spends else 302)
    assert User.objects.filter(pk=world.vera.pk).exists() is spends
    answers = {"action": "delete_selected", "_selected_action": [str(world.bob.pk)], "post": "yes"}
    admin.post(address("user", "changelist"), answers)
    assert User.objects.filter(pk=world.bob.pk).exists()


def test_a_team_with_books_is_not_deleted(admin: Client, world: World) -> None:
    admin.post(address("team", "delete", world.team.pk), {"post": "yes"})
    assert Team.objects.filter(pk=world.team.pk).exists()
