"""A team that is deleted lets nobody in, loses its pictures, and keeps its books."""

import threading
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.api_keys.keys import KeyDisabledError
from accounts.identity_provider import roles
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import AuditEntry, CreditRequest, Invitation, Membership, Role, Team, Transfer, User
from accounts.teams import invitations, membership
from accounts.tests.at_once import at_once
from accounts.tests.ledger.test_allowances_raced import behind, somebody_waits
from conftest import World, small_png, upload
from jobs.audit.verify import run as verify
from jobs.batches.create import open_batch
from jobs.events import subscriptions
from jobs.intake.submit import submit
from jobs.models import Backdrop, Batch, Job, Preset, Webhook
from jobs.retention import due, teams
from jobs.storage import instance
from jobs.tests.retention.erased import cut_out, purge_now, stored
from jobs.tests.upstream import Server
from jobs.tests.worker.test_worker import until
from pixian_web import oidc

pytestmark = pytest.mark.both_databases


def test_nobody_comes_in_and_the_books_stay(world: World, client: Client, server: Server) -> None:
    cut_out(world, server)
    key, credentials = keys.create(world.team, world.bob, "shop")
    allowances.grant(Membership.objects.get(team=world.team, user=world.bob), limit=1, period="month")
    subscriptions.add(world.team, world.alice, "https://example.org/hook", ["job.finished"])
    Preset.objects.create(team=world.team, name="White", style={}, created_by=world.bob)
    invitations.invite(world.team, "guest@example.org", Role.MEMBER, world.alice)
    before, transfers = ledger.balances(world.team), list(Transfer.objects.order_by("pk").values())
    teams.delete_team(world.team, world.alice)
    team = Team.objects.get(pk=world.team.pk)
    assert team.deleted_at
    assert "urora" not in f"{team.name} {team.slug}"
    with pytest.raises(KeyDisabledError):
        keys.find(credentials.api_id, credentials.api_secret)
    for left in (Membership, Invitation, Webhook, Preset):
        assert not left.objects.filter(team=team).exists()
    client.force_login(world.alice)
    for slug in ("aurora", team.slug):
        assert client.get(reverse("workspace", args=[slug])).status_code == 404
    assert ledger.balances(team) == before
    assert list(Transfer.objects.order_by("pk").values()) == transfers
    entry = AuditEntry.objects.get(action="delete_team")
    assert (entry.actor, entry.after) == (world.alice, {"left_microcredits": before.available})
    key.refresh_from_db()
    assert key.revoked_by == world.alice


def test_its_pictures_go_at_the_next_run(world: World, server: Server) -> None:
    instance.establish()
    cut_out(world, server)
    wall = default_storage.save("aurora/backdrops/wall.png", ContentFile(b"a wall"))
    Backdrop.objects.create(
        team=world.team, name="wall", file=wall, sha256="0", width=1, height=1, added_by=world.bob
    )
    teams.delete_team(world.team, world.alice)
    assert due.erase_due() == 1
    assert purge_now() == 1
    assert stored() == []
    names = [*Job.objects.values_list("name", flat=True), *Batch.objects.values_list("name", flat=True)]
    assert not any("secret" in name for name in names)
    assert Batch.objects.get().erased_at
    assert verify().findings == []
    assert due.erase_due() == 0


def test_what_was_on_its_way_is_not_paid_and_goes_too(world: World, server: Server) -> None:
    """The sender was a member when the upload began."""
    as_it_was = Team.objects.get(pk=world.team.pk)
    ledger.adjust(world.team, -99 * CREDIT, key="less", actor=world.alice, memo="for the test")
    batch = open_batch(world.team, world.bob, uuid4())
    teams.delete_team(world.team, world.alice)
    for _ in range(2):  # of which one waits for credits
        sent = upload(small_png(), batch=batch.pk)
        with sent.file:
            submit(as_it_was, world.bob, sent, keep=True)
    assert sorted(Job.objects.values_list("state", flat=True)) == ["kept", "queued"]
    assert due.erase_due() == 2
    assert ledger.balances(as_it_was) == Balances(available=CREDIT)
    assert purge_now() == 2
    assert (stored(), server.calls) == ([], 0)


def test_it_is_refused_while_something_is_not_settled(world: World) -> None:
    job = world.job()
    assert teams.unsettled(world.team) == teams.Unsettled(1, 0)
    with pytest.raises(teams.UnsettledError):
        teams.delete_team(world.team, world.alice)
    CreditRequest.objects.create(team=world.team, asked_by=world.bob, microcredits=1)
    assert teams.unsettled(world.team) == teams.Unsettled(1, 1)
    assert Membership.objects.filter(team=world.team).exists()
    assert Job.objects.get(pk=job.pk).state == "queued"


def test_the_page_names_what_is_left_and_wants_the_name(world: World, client: Client) -> None:
    client.force_login(world.alice)
    address = reverse("delete_team", args=["aurora"])
    assert address in client.get(reverse("team", args=["aurora"])).content.decode()
    assert "100 credits are left" in client.get(address).content.decode()
    page = client.post(address, {"name": "Aurore"}).content.decode()
    assert "That isn&#x27;t the team&#x27;s name." in page
    assert Team.objects.get(pk=world.team.pk).deleted_at is None
    page = client.post(address, {"name": " aurora "}, follow=True).content.decode()
    assert "The team Aurora was deleted." in page
    assert Team.objects.get(pk=world.team.pk).deleted_at


def test_only_owners_and_staff_may(world: World, client: Client) -> None:
    address = reverse("delete_team", args=["aurora"])
    staff = User.objects.create_superuser("root@example.org")
    for user, status in [(world.bob, 403), (world.vera, 403), (world.charlie, 404), (staff, 200)]:
        client.force_login(user)
        assert client.get(address).status_code == status
    client.post(address, {"name": "Aurora"})
    team = Team.objects.get(pk=world.team.pk)
    assert team.deleted_at
    assert "Team " in client.get(reverse("staff_teams")).content.decode()
    assert client.get(reverse("statement", args=[team.slug])).status_code == 200
    assert client.get(reverse("audit_log", args=[team.slug])).status_code == 200


def test_an_invitation_from_before_opens_nothing(world: World, client: Client) -> None:
    sent = invitations.invite(world.team, "guest@example.org", Role.MEMBER, world.alice)
    teams.delete_team(world.team, world.alice)
    client.force_login(User.objects.create_user("guest@example.org"))
    assert "Aurora" not in client.get(sent.link).content.decode()


def test_who_comes_in_at_that_moment_is_out_again(committed_world: World) -> None:
    world = committed_world
    sent = invitations.invite(world.team, "charlie@example.org", Role.MEMBER, world.alice)
    behind(
        lambda: invitations.accept(sent.invitation, world.charlie),
        lambda: teams.delete_team(world.team, world.alice),
    )
    assert not Membership.objects.filter(team=world.team).exists()


@pytest.mark.parametrize("by_group", [False, True])
def test_who_comes_in_right_after_it_is_refused(
    committed_world: World, settings: Settings, by_group: bool
) -> None:
    world = committed_world
    sent = invitations.invite(world.team, "charlie@example.org", Role.MEMBER, world.alice)
    settings.OIDC_GROUPS = oidc.groups("staff=aurora:member")

    def come_in() -> None:
        if by_group:
            roles.update(world.charlie, ["staff"])
        else:
            with pytest.raises(invitations.GoneError):
                invitations.accept(sent.invitation, world.charlie)

    behind(lambda: teams.delete_team(world.team, world.alice), come_in)
    assert not Membership.objects.filter(team=world.team).exists()


def test_it_is_deleted_once(committed_world: World) -> None:
    def delete() -> None:
        teams.delete_team(committed_world.team, committed_world.alice)

    behind(delete, delete)
    assert AuditEntry.objects.filter(action="delete_team").count() == 1


def test_a_member_who_is_removed_at_that_moment_is_not_waited_for_in_a_circle(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes first has both the team and its accounts."""
    team, alice = committed_world.team, committed_world.alice
    bob = Membership.objects.get(team=team, user=committed_world.bob)
    is_removing, lift = threading.Event(), allowances.lift

    def lift_late(member: Membership) -> None:
        is_removing.set()
        until(somebody_waits)
        lift(member)

    def act(number: int) -> None:
        if number:
            assert is_removing.wait(10)
            teams.delete_team(team, alice)
        else:
            membership.remove(bob, alice)

    monkeypatch.setattr(allowances, "lift", lift_late)
    assert at_once(2, act, OperationalError) == ["done", "done"]
    assert not Membership.objects.filter(team=team).exists()


def test_its_slug_is_free_again(world: World) -> None:
    teams.delete_team(world.team, world.alice)
    assert Team.objects.create(name="Aurora", slug="aurora").pk
