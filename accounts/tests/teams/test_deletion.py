"""A deleted account names nobody, lets nobody in, and is a number in the books."""

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
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


def log(world: World, row: Model, said: str, message: str = "") -> LogEntry:
    """Write an entry as Django's admin does."""
    kind = ContentType.objects.get_for_model(row)
    return LogEntry.objects.create(
        user=world.alice,
        content_type=kind,
        object_id=str(row.pk),
        object_repr=said,
        action_flag=CHANGE,
        change_message=message,
    )


def test_the_admins_log_names_them_no_more(world: World) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    EmailAddress.objects.create(user=world.bob, email="bob@home.example", verified=True)
    EmailAddress.objects.create(user=world.bob, email="vera@example.org", verified=False)
    inline = '[{"changed": {"name": "membership", "object": "%s in Aurora as viewer", "fields": ["Role"]}}]'
    before = [
        (world.bob, "bobby@example.org", "Confirmed the address bobby@example.org."),  # before it was changed
        (member, str(member), ""),
        (world.team, "Aurora", inline % "bob@example.org"),
        (world.team, "bob@home.example into Aurora", "Confirmed the address bob@example.org."),
        (world.team, "bob@example.org.uk", inline % "rob.bob@example.org"),
        (world.vera, "vera@example.org", ""),
    ]
    for row, said, message in before:
        log(world, row, said, message)
    deletion.delete_person(world.bob, world.bob)
    name = f"Person {world.bob.pk}"
    assert list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message")) == [
        (name, "Confirmed the address."),
        (f"{name} in Aurora as member", ""),
        ("Aurora", inline % name),
        (f"{name} into Aurora", f"Confirmed the address {name}."),
        before[4][1:],
        before[5][1:],
    ]


def test_nor_does_it_after_a_deletion_in_the_admin(client: Client, world: World) -> None:
    client.force_login(User.objects.create_superuser("root@example.org"))
    dora = User.objects.create_user("dora@example.org")
    member = Membership.objects.create(team=world.team, user=dora)
    log(world, member, str(member))
    client.post(reverse("admin:accounts_user_delete", args=[dora.pk]), {"post": "yes"})
    assert not User.objects.filter(pk=dora.pk).exists()
    said = LogEntry.objects.order_by("pk").values_list("object_repr", flat=True)
    assert list(said) == [f"Person {dora.pk} in Aurora as member", f"Person {dora.pk}"]


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
