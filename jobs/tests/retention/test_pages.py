"""The pages that delete pictures and say how long they are kept."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from conftest import World
from jobs.models import Job
from jobs.retention import due
from jobs.tests.retention.erased import cut_out
from jobs.tests.retention.test_due import age
from jobs.tests.upstream import Server


@pytest.fixture
def alice(client: Client, world: World) -> Client:
    client.force_login(world.alice)
    return client


@pytest.fixture
def job(world: World, server: Server) -> Job:
    return cut_out(world, server)


def text(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_a_picture_is_deleted_after_a_page_that_says_what_goes(alice: Client, job: Job) -> None:
    address = reverse("delete_job", args=["aurora", job.pk])
    assert address in text(alice, job.get_absolute_url())
    assert "Delete 1 picture" in text(alice, address)
    assert Job.objects.get().erased_at is None
    page = alice.post(address, follow=True).content.decode()
    assert "1 picture was deleted." in page
    assert "The picture was deleted." in page
    assert address not in page
    assert Job.objects.get().erased_at
    assert "Nothing was left to delete." in alice.post(address, follow=True).content.decode()


def test_a_batch_is_deleted_with_what_can_be(alice: Client, world: World, job: Job) -> None:
    world.job(batch=job.batch_id)
    address = reverse("delete_batch", args=["aurora", job.batch_id])
    assert address in text(alice, reverse("batch", args=["aurora", job.batch_id]))
    page = text(alice, address)
    assert "Delete 1 picture" in page
    assert "1 picture stays: it is waiting or being processed" in page
    page = alice.post(address, follow=True).content.decode()
    assert "1 picture was deleted." in page
    assert "1 picture can&#x27;t be deleted yet" in page


def test_who_may_delete(client: Client, world: World, server: Server, job: Job) -> None:
    """Managers, and the person who brought it in."""
    bobs = cut_out(world, server, user=world.bob)
    for user, who, status in [
        (world.bob, job, 403),
        (world.bob, bobs, 200),
        (world.vera, job, 403),
        (world.charlie, job, 404),
        (world.alice, bobs, 200),
    ]:
        client.force_login(user)
        assert client.get(reverse("delete_job", args=["aurora", who.pk])).status_code == status
        batch = client.get(reverse("delete_batch", args=["aurora", who.batch_id])).status_code
        assert batch == (403 if user == world.bob else status)  # alice began both batches
        page = client.get(who.get_absolute_url())
        assert ("Delete the picture" in page.content.decode()) == (status == 200)


def test_a_shorter_time_shows_first_what_goes(alice: Client, world: World, job: Job) -> None:
    age(job, 40)
    address = reverse("retention", args=["aurora"])
    assert "Pictures are kept until someone deletes them." in text(alice, address)
    page = alice.post(address, {"days": "30"}).content.decode()
    assert "<b>1 picture</b>" in page
    assert "Nothing is deleted in the first 24 hours" in page
    assert Team.objects.get(pk=world.team.pk).keep_days is None
    alice.post(address, {"days": "30", "sure": "yes"})
    assert Team.objects.get(pk=world.team.pk).keep_days == 30
    page = text(alice, address)
    assert "Nothing is deleted before" in page
    assert due.erase_due() == 0
    assert "deleted after 30 days" in text(alice, reverse("team", args=["aurora"]))
    alice.post(address, {"days": "60"})  # longer, so there is nothing to show first
    assert Team.objects.get(pk=world.team.pk).keep_days == 60
    alice.post(address, {"days": ""})
    assert Team.objects.get(pk=world.team.pk).keep_days is None


@pytest.mark.parametrize("days", ["0", "-1", "x", "36501", "8,5"])
def test_a_time_that_is_none_is_refused(alice: Client, world: World, days: str) -> None:
    page = alice.post(reverse("retention", args=["aurora"]), {"days": days, "sure": "yes"})
    assert 'role="alert"' in page.content.decode()
    assert Team.objects.get(pk=world.team.pk).keep_days is None


def test_only_managers_change_it_and_all_see_it(client: Client, world: World) -> None:
    for user, seen, changed in [(world.vera, 200, 403), (world.bob, 200, 403), (world.charlie, 404, 404)]:
        client.force_login(user)
        address = reverse("retention", args=["aurora"])
        page = client.get(address)
        assert page.status_code == seen
        assert 'name="days"' not in page.content.decode()
        assert client.post(address, {"days": "1", "sure": "yes"}).status_code == changed
