"""People and teams are kept in the admin; the books can be read there, never written."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Invitation, LedgerAccount, Membership, Role, Team, Transfer, User
from accounts.teams import invitations
from conftest import World

pytestmark = pytest.mark.both_databases

BOOKS = ["ledgeraccount", "transfer"]
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


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@example.org"])
def test_an_address_is_taken_once(admin: Client, email: str) -> None:
    assert add(admin, email) == 200
    assert User.objects.filter(email__iexact=email).count() == 1


def test_a_user_is_put_into_a_team_with_a_role(admin: Client, world: World) -> None:
    membership = {"memberships-0-team": world.team.pk, "memberships-0-role": Role.VIEWER.value}
    assert add(admin, "dora@example.org", **membership, **{"memberships-TOTAL_FORMS": 1}) == 302
    assert Membership.objects.get(user__email="dora@example.org").role == Role.VIEWER
    assert world.team.memberships.count() == 4


def test_a_team_with_books_is_not_deleted(admin: Client, world: World) -> None:
    admin.post(address("team", "delete", world.team.pk), {"post": "yes"})
    assert Team.objects.filter(pk=world.team.pk).exists()
