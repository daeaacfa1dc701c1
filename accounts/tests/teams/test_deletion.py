"""A deleted account names nobody, lets nobody in, and is a number in the books."""

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.models import AuditEntry, Membership, Role, Transfer, User
from accounts.teams import deletion, invitations, membership
from accounts.teams.membership import LastOwnerError
from accounts.tests.auth.factors import with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    """Bob, who has just proved who he is."""
    client.force_login(world.bob)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def test_nothing_names_the_person_any_more_and_the_books_stay(world: World) -> None:
    User.objects.filter(pk=world.bob.pk).update(first_name="Bob", last_name="Bright", is_staff=True)
    world.bob.refresh_from_db()
    ledger.hold(world.team, 5, key="a", reference="", actor=world.bob)
    key, _ = keys.create(world.team, world.bob, "shop")
    with_app(world.bob)
    SocialAccount.objects.create(user=world.bob, provider="https://login.example.org", uid="bob-7")
    invitations.invite(world.charlie.memberships.get().team, "bob@example.org", Role.VIEWER, world.charlie)
    before = list(Transfer.objects.order_by("pk").values())
    deletion.delete_person(world.bob, world.bob)
    person = User.objects.get(pk=world.bob.pk)
    assert str(person) == f"Person {person.pk}"
    assert person.email.startswith(f"deleted-{person.pk}-")
    assert person.email.endswith("@people.invalid")
    assert (person.first_name, person.last_name) == ("", "")
    assert (person.is_active, person.is_staff, person.has_usable_password()) == (False, False, False)
    for rows in (EmailAddress, Authenticator, Membership, SocialAccount):
        assert not rows.objects.filter(user=person).exists()
    assert not world.charlie.memberships.get().team.invitations.exists()
    key.refresh_from_db()
    assert key.revoked_at
    assert list(Transfer.objects.order_by("pk").values()) == before
    entry = AuditEntry.objects.get(action="delete_person")
    assert (entry.subject, entry.actor) == (f"user:{person.pk}", person)


def test_a_person_deletes_their_own_account(bob: Client, world: World) -> None:
    address = reverse("delete_account")
    assert address in bob.get(reverse("account_email")).content.decode()
    assert "Aurora" in bob.get(address).content.decode()
    other = Client()
    other.force_login(world.bob)
    page = bob.post(address, follow=True).content.decode()
    assert "Your account was deleted." in page
    for client in (bob, other):  # its other sessions have ended too
        assert client.get(reverse("workspace", args=["aurora"])).status_code == 302
    assert not Client().login(email="bob@example.org", password=PASSWORD)
    alice = Client()
    alice.force_login(world.alice)
    assert "bob@" not in alice.get(reverse("team", args=["aurora"])).content.decode()


def test_it_asks_who_one_is_first(client: Client, world: World) -> None:
    client.force_login(world.bob)
    response = client.post(reverse("delete_account"))
    assert response.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert User.objects.filter(email="bob@example.org").exists()


def test_the_last_owner_of_a_team_stays_and_is_told_which(client: Client, world: World) -> None:
    client.force_login(world.alice)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("delete_account")).content.decode()
    assert "these teams have no other owner: Aurora." in page
    assert "Delete my account" not in page
    page = client.post(reverse("delete_account")).content.decode()
    assert "still owns a team alone" in page
    with pytest.raises(LastOwnerError):
        deletion.delete_person(world.alice, world.alice)
    assert Membership.objects.filter(user=world.alice).exists()
    assert User.objects.get(pk=world.alice.pk).is_active
    bob = Membership.objects.get(team=world.team, user=world.bob)
    membership.change_role(bob, Role.OWNER)
    deletion.delete_person(world.alice, world.alice)


def test_staff_delete_a_person_and_no_superuser(client: Client, world: World) -> None:
    staff = User.objects.create_user("staff@example.org", is_staff=True)
    root = User.objects.create_superuser("root@example.org")
    address = reverse("staff_delete_person", args=[world.bob.pk])
    client.force_login(world.alice)
    assert client.get(address).status_code == 404
    client.force_login(staff)
    assert address in client.get(reverse("staff_people")).content.decode()
    assert "bob@example.org" in client.get(address).content.decode()
    assert f"Person {world.bob.pk}" in client.post(address, follow=True).content.decode()
    assert client.get(address).status_code == 404
    assert client.post(reverse("staff_delete_person", args=[root.pk])).status_code == 403
    page = client.post(reverse("staff_delete_person", args=[world.alice.pk])).content.decode()
    assert "still owns a team alone" in page
