"""The same picture is cut out once: the store offers it at 0 credits, to the same team alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from accounts.ledger import operations as ledger
from accounts.models import Transfer
from conftest import World, small_png
from jobs.audit.verify import run as verify
from jobs.batches import reuse
from jobs.models import Batch, DamagedResult, Job, Rendition
from jobs.tests.browser import SCRIPT, begin, listing, post_json, register, upload
from jobs.tests.intake.heif import avif, heic
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

PICTURE = small_png(30, 20)
SHA256 = sha256(PICTURE).hexdigest()


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


@pytest.fixture
def done(world: World, server: Server) -> Job:
    """The picture, cut out earlier by alice."""
    world.job(PICTURE, user=world.alice)
    return run(server)[0]


def offered(client: Client, batch: UUID) -> list[dict[str, str]]:
    plan = client.get(reverse("batch_plan", args=["aurora", batch]), headers=SCRIPT).json()
    found: list[dict[str, str]] = plan["duplicates"]
    return found


def listed(client: Client, name: str = "again.png", **more: Any) -> tuple[UUID, str]:
    """List the picture in a new batch; return the batch and the request's id."""
    batch, file = begin(client), listing(name=name, sha256=SHA256, folder="shoes") | more
    register(client, batch, file)
    return batch, file["request_id"]


def use_again(client: Client, batch: UUID, *request_ids: str) -> Any:
    return post_json(client, "batch_reuse", "aurora", batch, request_ids=request_ids)


def test_a_plan_without_what_is_used_again(bob: Client, done: Job) -> None:
    batch, request_id = listed(bob)
    register(bob, batch, listing(2, width=1000, height=1000))
    address = reverse("batch_plan", args=["aurora", batch])
    whole, rest = (bob.get(address, {"reuse": reuse}, headers=SCRIPT).json() for reuse in ("", "yes"))
    assert [each["request_id"] for each in whole["duplicates"]] == [request_id]
    assert whole["duplicates"] == rest["duplicates"]
    assert (whole["pictures"], rest["pictures"], rest["at_most"]) == (2, 1, "1")


def test_a_picture_that_was_cut_out_before_is_offered_and_costs_nothing(
    world: World, bob: Client, done: Job, server: Server
) -> None:
    before, calls = ledger.balances(world.team), server.calls
    batch, request_id = listed(bob)
    assert offered(bob, batch) == [{"request_id": request_id, "name": "again.png"}]

    for _ in range(2):  # a script repeats what it has no answer to
        assert use_again(bob, batch, request_id).json() == {"reused": [request_id]}
    job = Job.objects.get(request_id=request_id)
    assert (job.state, job.reused_from, job.estimated_microcredits) == ("done", done, 0)
    assert (job.source, job.result, job.result_sha256) == (done.source, done.result, done.result_sha256)
    assert (job.name, job.folder, job.number, job.created_by) == ("again.png", "shoes", 1, world.bob)
    assert (ledger.balances(world.team), server.calls) == (before, calls)
    assert offered(bob, batch) == []
    assert verify().findings == []


@pytest.mark.parametrize(("make", "name"), [(heic, "photo.heic"), (avif, "photo.avif")])
def test_a_picture_that_had_to_be_converted_is_recognised_by_its_original(
    bob: Client, server: Server, make: Callable[[Image.Image], bytes], name: str
) -> None:
    content = make(Image.new("RGB", (30, 20), "teal"))
    digest = sha256(content).hexdigest()
    batch, request_id = listed(bob, name, sha256=digest)
    upload(bob, content, batch=batch, request_id=UUID(request_id), name=name)
    first = run(server)[0]
    for _ in range(2):  # the second time it's known by what was used again
        batch, request_id = listed(bob, name, sha256=digest)
        assert offered(bob, batch) == [{"request_id": request_id, "name": name}]
        assert use_again(bob, batch, request_id).json() == {"reused": [request_id]}
    again = Job.objects.get(request_id=request_id)
    assert (again.reused_from, again.original_sha256) == (first, digest)


def test_it_becomes_what_the_rest_of_its_batch_becomes(bob: Client, done: Job) -> None:
    batch, request_id = listed(bob)
    Batch.objects.filter(pk=batch).update(outputs=[{"name": "White", "style": {"format": "jpeg"}}])
    use_again(bob, batch, request_id)
    assert Rendition.objects.get(job__request_id=request_id).state == "wanted"


def test_its_pages_and_its_download_work(bob: Client, done: Job) -> None:
    batch, request_id = listed(bob, "Été.jpg")
    use_again(bob, batch, request_id)
    job = Job.objects.get(request_id=request_id)
    assert bob.get(job.get_absolute_url()).status_code == 200
    assert bob.get(reverse("history", args=["aurora"])).status_code == 200
    response = bob.get(reverse("download", args=["aurora", job.pk]))
    first = bob.get(reverse("download", args=["aurora", done.pk]))
    assert b"".join(response) == b"".join(first)
    shown = bob.get(reverse("shown", args=["aurora", job.pk, "after", "tile"]))
    assert b"".join(shown).startswith(b"RIFF")


def test_what_was_reused_can_be_reused_and_names_the_first(bob: Client, done: Job) -> None:
    for _ in range(2):
        batch, request_id = listed(bob)
        use_again(bob, batch, request_id)
    assert list(Job.objects.exclude(pk=done.pk).values_list("reused_from", flat=True)) == [done.pk] * 2


def test_a_damaged_one_is_not_offered(bob: Client, done: Job) -> None:
    """Whoever uploads the picture again wants it whole."""
    batch, request_id = listed(bob)
    use_again(bob, batch, request_id)
    DamagedResult.objects.create(job=done)
    batch, _ = listed(bob)
    assert offered(bob, batch) == []


def test_another_teams_cut_out_is_not_offered(world: World, client: Client, done: Job) -> None:
    client.force_login(world.charlie)
    batch, file = begin(client, "outsiders"), listing(sha256=SHA256)
    register(client, batch, file, team="outsiders")
    plan = client.get(reverse("batch_plan", args=["outsiders", batch])).json()
    assert plan["duplicates"] == []
    response = post_json(client, "batch_reuse", "outsiders", batch, request_ids=[file["request_id"]])
    assert response.json() == {"reused": []}
    assert not Job.objects.filter(team__slug="outsiders").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"test": True, "options": {"test": "true"}},
        {"origin": Job.Origin.API},
        {"state": Job.State.FAILED},
        {"options": {"result.crop_to_foreground": "true"}},
        {"options": {"background.color": "#FF0000"}},
        {"options": {"max_pixels": "100"}},
        {"options": {"result.target_size": "10 10"}},
    ],
)
def test_only_a_master_is_offered(bob: Client, done: Job, changes: dict[str, Any]) -> None:
    Job.objects.filter(pk=done.pk).update(**changes)
    batch, request_id = listed(bob)
    assert offered(bob, batch) == []
    assert use_again(bob, batch, request_id).json() == {"reused": []}


@pytest.mark.parametrize("options", [{}, {"output.format": "delta_png"}, {"output.format": "png"}])
def test_a_master_may_be_stored_either_way(bob: Client, done: Job, options: dict[str, str]) -> None:
    Job.objects.filter(pk=done.pk).update(options=options)
    batch, _ = listed(bob)
    assert len(offered(bob, batch)) == 1


def test_what_is_not_listed_or_not_known_stays_missing(bob: Client, done: Job) -> None:
    batch, other = begin(bob), listing(sha256="f" * 64)
    register(bob, batch, other)
    _, elsewhere = listed(bob)
    answer = use_again(bob, batch, other["request_id"], elsewhere)
    assert answer.json() == {"reused": []}
    assert Job.objects.count() == 1


@pytest.mark.parametrize("ids", [[], ["x"], [1], "x", None])
def test_what_is_no_list_of_ids_is_refused(bob: Client, ids: object) -> None:
    assert post_json(bob, "batch_reuse", "aurora", begin(bob), request_ids=ids).status_code == 400


def test_a_viewer_may_not(world: World, bob: Client, done: Job) -> None:
    batch, request_id = listed(bob)
    bob.force_login(world.vera)
    assert use_again(bob, batch, request_id).status_code == 403


def test_an_upload_and_a_reuse_at_once_are_one_job(committed_world: World, server: Server) -> None:
    committed_world.job(PICTURE)
    run(server)
    start = threading.Barrier(4)
    client = Client()
    client.force_login(committed_world.bob)
    batch, request_id = listed(client)

    def one(n: int) -> int:
        mine = Client()
        mine.force_login(committed_world.bob)
        start.wait()
        try:
            if n % 2:
                return int(use_again(mine, batch, request_id).status_code)
            return int(upload(mine, PICTURE, batch=batch, request_id=UUID(request_id)).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [200, 200, 201, 201]
    assert Job.objects.filter(batch=batch).count() == 1
    assert Transfer.objects.filter(kind="hold").count() <= 2
    assert verify(quick=True).findings == []


def test_it_is_found_by_its_index(world: World, done: Job) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert reuse.earlier(world.team, [SHA256]) == {SHA256: done}
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            plans = [cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}").fetchall() for query in queries]
        assert ["job_same_source" in str(plans[0]), "job_same_original" in str(plans[1])] == [True, True]
