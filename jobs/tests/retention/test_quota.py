"""A team's files are measured, and once they reach its quota no new picture is taken in."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.models import AuditEntry, Team, User
from conftest import World, small_png
from jobs.models import Job, TeamStorage
from jobs.retention import quota
from jobs.retention.quota import Usage
from jobs.tests.api.programs import Program
from jobs.tests.browser import upload
from jobs.tests.retention.erased import PICTURE, cut_out, erased, purge_now, reused, stored
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases


def bound(world: World, most: int | None) -> None:
    quota.set_quota(world.team, most, world.alice)
    world.team.refresh_from_db()


def size_on_disk() -> int:
    names = [name for name in stored() if not name.endswith(".webp")]
    return sum(Path(default_storage.path(name)).stat().st_size for name in names)


def test_the_sum_is_that_of_the_files_and_shared_ones_count_once(world: World, server: Server) -> None:
    job = cut_out(world, server)
    reused(world)
    quota.measure()
    assert quota.usage(world.team).bytes == size_on_disk() > 0
    assert TeamStorage.objects.get(team__slug="outsiders").bytes == 0
    erased(world, job, Job.objects.get(reused_from=job))
    quota.measure()
    assert quota.usage(world.team).bytes == size_on_disk() > 0  # erased, and its files are still there
    purge_now()
    quota.measure()
    assert quota.usage(world.team).bytes == 0


def test_a_page_refuses_a_new_picture_above_it(world: World, client: Client, server: Server) -> None:
    cut_out(world, server)
    quota.measure()
    client.force_login(world.bob)
    before, files = ledger.balances(world.team), stored()
    bound(world, 1)
    response = upload(client, small_png(9, 9))
    assert response.status_code == 507
    assert "storage is full" in response.content.decode()
    assert (ledger.balances(world.team), stored(), Job.objects.count()) == (before, files, 1)
    bound(world, 10**9)
    assert upload(client, small_png(9, 9)).status_code == 201


def test_a_repeat_of_an_upload_is_no_new_picture(world: World, client: Client) -> None:
    client.force_login(world.bob)
    request, batch = uuid4(), uuid4()
    assert upload(client, PICTURE, request_id=request, batch=batch).status_code == 201
    quota.measure()
    bound(world, 1)
    assert upload(client, PICTURE, request_id=request, batch=batch).status_code == 201
    assert Job.objects.count() == 1


def test_a_reuse_stores_nothing_and_goes_on(world: World, server: Server) -> None:
    cut_out(world, server)
    quota.measure()
    bound(world, 1)
    assert reused(world)


def test_a_program_is_told(committed_world: World, program: Program, server: Server) -> None:
    Team.objects.update(storage_full=True, quota_bytes=0)
    response = program.call(PICTURE)
    assert (response.status_code, response.json()["error"]["code"]) == (402, 402)
    assert "storage is full" in response.json()["error"]["message"]
    assert server.calls == 0


def test_the_warning_comes_before(world: World, client: Client) -> None:
    assert not Usage(89, 100, None).warns
    assert Usage(90, 100, None).warns
    assert Usage(100, 100, None).is_full
    assert not Usage(99, 100, None).is_full
    assert Usage(0, 0, None).is_full
    assert not Usage(10**12, None, None).warns
    TeamStorage.objects.create(team=world.team, bytes=95)
    bound(world, 100)
    client.force_login(world.vera)
    assert "nearly full" in client.get(reverse("retention", args=["aurora"])).content.decode()


def test_staff_set_it_and_nobody_else(world: World, client: Client) -> None:
    address = reverse("staff_quota", args=[world.team.pk])
    client.force_login(world.alice)
    assert client.get(address).status_code == 404
    client.force_login(User.objects.create_superuser("root@example.org"))
    assert address in client.get(reverse("staff_teams")).content.decode()
    assert client.post(address, {"gigabytes": "1.5"}).status_code == 302
    assert Team.objects.get(pk=world.team.pk).quota_bytes == 1_500_000_000
    assert "1.5" in client.get(address).content.decode()
    for wrong in ("-1", "x", "0.00001"):
        assert client.post(address, {"gigabytes": wrong}).status_code == 200
    client.post(address, {"gigabytes": ""})
    assert Team.objects.get(pk=world.team.pk).quota_bytes is None
    changes = AuditEntry.objects.filter(action="quota").order_by("pk").values_list("after", flat=True)
    assert list(changes) == [{"quota_bytes": 1_500_000_000}, {"quota_bytes": None}]
