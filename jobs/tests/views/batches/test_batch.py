"""The batch page, its poll, and what its buttons do."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.ledger import operations as ledger
from conftest import World
from jobs.batches import control, register
from jobs.batches.cursor import OVERLAP, Cursor
from jobs.models import Batch, BatchFile, Job
from jobs.templatetags.jobs import breakable
from jobs.tests import upstream as wire
from jobs.tests.batches.test_control import BATCH, add, claimed, fail, leave, states, the_batch
from jobs.tests.upstream import Server

Answer = dict[str, Any]


class Page:
    """A page that polls, and remembers what the script of the page does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cursor = self.etag = ""
        self.versions: dict[int, str] = {}

    def poll(self) -> Answer | None:
        """Ask once; None for a 304."""
        headers = {"HX-Request": "true"} | ({"If-None-Match": self.etag} if self.etag else {})
        response = self.client.get(address("batch_changes"), {"since": self.cursor}, headers=headers)
        if response.status_code == 304:
            return None
        assert response.status_code == 200
        answer: Answer = json.loads(response.content)
        self.cursor, self.etag = answer["cursor"], response.headers.get("ETag", "")
        answer["fresh"] = [job["id"] for job in answer["jobs"] if self.versions.get(job["id"]) != job["v"]]
        self.versions |= {job["id"]: job["v"] for job in answer["jobs"]}
        return answer

    def all(self) -> list[Answer]:
        """Ask until all changes have come."""
        answers = []
        while answer := self.poll():
            answers.append(answer)
            if not answer["more"]:
                break
        return answers


def address(name: str, batch: Any = BATCH) -> str:
    return reverse(name, args=["aurora", batch])


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    client.force_login(world.alice)
    return client


@pytest.fixture
def page(alice: Client) -> Page:
    return Page(alice)


def post(client: Client, route: str, **fields: Any) -> Any:
    return client.post(address(route), fields)


def age(seconds: float = OVERLAP.total_seconds() + 1) -> None:
    """Let the changes so far be older."""
    for job in Job.objects.all():
        Job.objects.filter(pk=job.pk).update(updated_at=job.updated_at - timedelta(seconds=seconds))


# The page


def test_the_page_shows_the_batch_and_its_tiles(world: World, alice: Client, server: Server) -> None:
    jobs = add(world, 2)
    wire.run(server)
    page = alice.get(address("batch")).content.decode()
    assert "1 of 2 done" in page
    assert f'id="job-{jobs[0].pk}"' in page
    assert f'data-changes="{address("batch_changes")}"' in page
    assert ' style="' not in page


def test_names_are_shown_as_text(world: World, alice: Client) -> None:
    world.job(keep=True, batch=BATCH, name="x")
    Job.objects.update(name="<img onerror=alert(1)>", folder="<b>")
    Batch.objects.update(name="<script>")
    page = alice.get(address("batch")).content.decode()
    assert "<img onerror" not in page
    assert "<script>" not in page.replace("<script src", "").replace("<script type", "")


def test_a_viewer_sees_no_buttons(world: World, client: Client) -> None:
    fail(world)
    client.force_login(world.vera)
    page = client.get(address("batch")).content.decode()
    assert "failed" in page
    for name in ("batch_control", "batch_proof", "batch_rename"):
        assert f'action="{address(name)}"' not in page.partition("<template")[0]


def test_a_hundred_tiles_a_page_by_key(world: World, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.views.batches.tiles.PAGE", 2)
    jobs = add(world, 5)
    seen, after = [], ""
    for _ in range(3):
        response = alice.get(address("batch"), {"after": after})
        seen += [tile["id"] for tile in response.context["tiles"]]
        after = response.context["next"]
    assert (seen, after) == ([job.pk for job in jobs], "")


@pytest.mark.parametrize(
    ("show", "expected"),
    [("done", 1), ("waiting", 2), ("queued", 2), ("problems", 0), ("approved", 0), ("?", 3)],
)
def test_filters_without_scripts(
    world: World, alice: Client, server: Server, show: str, expected: int
) -> None:
    add(world, 3)
    wire.run(server)
    assert len(alice.get(address("batch"), {"show": show}).context["tiles"]) == expected


def test_another_teams_batch_is_missing(world: World, client: Client) -> None:
    add(world)
    client.force_login(world.charlie)
    for name in ("batch", "batch_changes"):
        assert client.get(address(name)).status_code == 404
        assert client.get(reverse(name, args=["outsiders", BATCH])).status_code == 404


# The poll


def test_a_first_poll_brings_all(world: World, page: Page, server: Server) -> None:
    jobs = add(world, 3)
    wire.run(server)
    answer = page.poll()
    assert answer
    assert sorted(answer["fresh"]) == [job.pk for job in jobs]
    assert (answer["total"], answer["counts"]["done"], answer["counts"]["queued"]) == (3, 1, 2)
    assert answer["summary"] == "1 of 3 done"
    assert answer["credits"] == {
        "spent": "1",
        "held": "2",
        "available": "97",
        "kept_needs": "0",
        "rest": "2",
    }
    done = next(job for job in answer["jobs"] if job["state"] == "done")
    assert (done["cost"], done["tone"], done["kind"]) == ("1", "ok", "done")
    assert done["after"] == reverse("shown", args=["aurora", done["id"], "after", "tile"])
    assert done["download"] == reverse("download", args=["aurora", done["id"]])


def test_nothing_new_is_a_304(world: World, page: Page) -> None:
    add(world, 2)
    assert page.poll()
    assert page.poll() is None


def test_only_what_changed_comes_again(world: World, page: Page) -> None:
    jobs = add(world, 3)
    page.poll()
    claimed()
    answer = page.poll()
    assert answer
    assert answer["fresh"] == [jobs[0].pk]


def test_changes_that_are_old_do_not_come_again(world: World, page: Page) -> None:
    jobs = add(world, 3)
    age()
    page.poll()
    claimed()
    answer = page.poll()
    assert answer
    assert [job["id"] for job in answer["jobs"]] == [jobs[0].pk]


def test_a_mass_of_changes_is_passed_once_it_is_old(world: World, page: Page) -> None:
    """Each later poll would look through all of them again."""
    add(world, 3)
    page.poll()
    assert page.poll() is None
    with pytest.MonkeyPatch.context() as patch:
        later = timezone.now() + 2 * OVERLAP
        patch.setattr("jobs.batches.changes.timezone.now", lambda: later)
        passed = page.poll()
        assert passed
        assert passed["jobs"] == []
        assert page.poll() is None
    claimed()
    answer = page.poll()
    assert answer
    assert len(answer["jobs"]) == 1


def commit_late(world: World, page: Page) -> tuple[Job, Answer | None]:
    """Let a page look between two changes, of which the earlier one is committed later."""
    late, early = add(world, 2)
    age()
    page.poll()
    now = timezone.now()
    Job.objects.filter(pk=early.pk).update(name="early", updated_at=now)
    page.poll()
    Job.objects.filter(pk=late.pk).update(name="late", updated_at=now - timedelta(seconds=2))
    return late, page.poll()


def test_a_change_that_is_committed_late_is_not_missed(world: World, page: Page) -> None:
    late, answer = commit_late(world, page)
    assert answer
    assert answer["fresh"] == [late.pk]


def test_without_the_overlap_it_is_missed(world: World, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr("jobs.batches.cursor.OVERLAP", timedelta(0))
    _, answer = commit_late(world, page)
    assert answer is None


def test_many_changes_come_in_parts(world: World, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.batches.changes.AT_MOST", 2)
    jobs = add(world, 5)
    Job.objects.update(updated_at=timezone.now())  # all at once, as a pause does it
    answers = page.all()
    assert [len(answer["jobs"]) for answer in answers] == [2, 2, 1]
    assert set(page.versions) == {job.pk for job in jobs}


def test_what_is_committed_between_two_parts_is_not_missed(
    world: World, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.batches.changes.AT_MOST", 2)
    jobs = add(world, 4)
    now = timezone.now()
    for job in jobs:
        Job.objects.filter(pk=job.pk).update(updated_at=now)
    assert page.poll()
    Job.objects.filter(pk=jobs[0].pk).update(name="late", updated_at=now - timedelta(seconds=1))
    page.all()
    page.all()
    row = Job.objects.get(pk=jobs[0].pk)
    assert page.versions[row.pk].startswith(str(int(row.updated_at.timestamp() * 1_000_000))[:-1])


@pytest.mark.parametrize("change", ["rename", "file", "grant", "lease", "pause"])
def test_other_changes_are_told_too(world: World, page: Page, change: str) -> None:
    add(world)
    running = claimed()
    page.poll()
    match change:
        case "rename":
            post(page.client, "batch_rename", name="Autumn  shoes")
        case "file":
            BatchFile.objects.create(batch=the_batch(), number=9, name="a.pdf", problem="unreadable")
        case "grant":
            ledger.grant(world.team, 5, key="x")
        case "lease":
            Job.objects.filter(pk=running.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        case "pause":
            control.pause(the_batch())
    answer = page.poll()
    assert answer
    assert answer["name"] == ("Autumn shoes" if change == "rename" else the_batch().name)
    assert answer["paused"] == (change == "pause")
    assert page.poll() is None


@pytest.mark.parametrize("since", ["", "x", "1-2", "-1-2-3", "١-٢-٣", "9" * 17 + "-1-0", f"{10**30}-1-1"])
def test_any_cursor_is_answered(world: World, alice: Client, since: str) -> None:
    add(world)
    assert alice.get(address("batch_changes"), {"since": since}).status_code == 200


def test_a_poll_takes_few_queries(world: World, page: Page) -> None:
    """Signing in and the team take three, the batch one, and what changed one."""
    add(world, 2)
    with CaptureQueriesContext(
        connection,
    ) as first:
        page.poll()
    with CaptureQueriesContext(connection) as nothing_new:
        assert page.poll() is None
    assert len(nothing_new) == 5
    assert len(first) <= 25


def test_a_large_batch_costs_as_many_queries_as_a_small_one(world: World, alice: Client) -> None:
    add(world)
    alice.get(address("batch"))  # which remembers the team in the session
    counts = []
    for more in (2, 6):
        add(world, more)
        for name in ("batch", "batch_changes"):
            with CaptureQueriesContext(connection) as captured:
                assert alice.get(address(name)).status_code == 200
            counts.append(len(captured))
    assert counts[:2] == counts[2:]


def test_the_index_finds_the_changes(world: World) -> None:
    query = Job.objects.filter(batch=BATCH, updated_at__gte=timezone.now()).query
    sql, params = query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        assert "job_batch_changes (batch_id=? AND updated_at>?)" in str(cursor.fetchall())


# Groups


def group(page: Page, key: str) -> Answer:
    answer = page.poll()
    assert answer
    return next(each for each in answer["groups"] if each["key"] == key)


def test_those_that_wait_for_credits(world: World, page: Page) -> None:
    leave(world, 1)
    jobs = add(world, 3)
    kept = group(page, "kept")
    assert (kept["count"], kept["title"], kept["jobs"]) == (
        2,
        "2 wait for credits",
        [job.pk for job in jobs[1:]],
    )
    assert kept["text"].startswith("2 credits more are needed")


def test_failed_ones_are_retried_as_a_group(world: World, page: Page) -> None:
    job = fail(world)
    failed = group(page, "failed")
    assert failed["title"] == "1 failed"
    assert failed["text"] == "The service rejected the picture."
    action = failed["action"]
    assert action["label"] == "Retry · up to 1 credit"
    assert page.client.post(action["url"], action["fields"]).status_code == 302
    assert states([job]) == ["queued"]


def test_refused_files_are_removed_as_a_group(world: World, page: Page) -> None:
    add(world)
    for number, name in enumerate(["a.pdf", "b.pdf"], 2):
        BatchFile.objects.create(
            batch=the_batch(), number=number, name=name, problem="unreadable", message="Not a picture."
        )
    refused = group(page, "refused")
    assert refused["title"] == "2 can't be read"
    assert refused["files"] == [{"name": name, "message": "Not a picture."} for name in ("a.pdf", "b.pdf")]
    page.client.post(refused["action"]["url"], refused["action"]["fields"])
    answer = page.poll()
    assert answer
    assert (answer["groups"], answer["total"]) == ([], 1)


def test_a_call_in_doubt_says_what_is_held(world: World, page: Page, server: Server) -> None:
    server.script.append(wire.no_answer)
    add(world)
    wire.run(server)
    doubt = group(page, "in_doubt")
    assert "1 credit stays held" in doubt["text"]
    assert doubt["action"] is None


def test_a_paused_batch_offers_to_resume(world: World, page: Page) -> None:
    jobs = add(world, 2)
    control.pause(the_batch())
    paused = group(page, "paused")
    page.client.post(paused["action"]["url"], paused["action"]["fields"])
    assert states(jobs) == ["queued"] * 2


def test_cancelled_ones_can_come_back(world: World, page: Page) -> None:
    jobs = add(world, 2)
    post(page.client, "batch_control", action="cancel")
    cancelled = group(page, "cancelled")
    assert cancelled["action"]["label"] == "Undo"
    page.client.post(cancelled["action"]["url"], cancelled["action"]["fields"])
    assert states(jobs) == ["queued"] * 2


def test_missing_files_are_named(world: World, page: Page) -> None:
    job = add(world)[0]
    BatchFile.objects.create(batch=the_batch(), number=1, name="here.png", request_id=job.request_id)
    BatchFile.objects.create(batch=the_batch(), number=2, name="b.png", folder="shoes")
    BatchFile.objects.create(
        batch=the_batch(), number=3, name="", url="https://example.org/c.png", fetch_after=timezone.now()
    )
    missing = group(page, "missing")
    assert (missing["title"], missing["files"]) == (
        "1 isn't uploaded yet",
        [{"name": "shoes/b.png", "message": ""}],
    )
    page.cursor = page.etag = ""
    assert group(page, "fetching")["files"] == [{"name": "https://example.org/c.png", "message": ""}]


def test_missing_files_are_not_waited_for(world: World, page: Page) -> None:
    job = add(world)[0]
    BatchFile.objects.create(batch=the_batch(), number=1, name="here.png", request_id=job.request_id)
    BatchFile.objects.create(batch=the_batch(), number=2, name="gone.png")
    Job.objects.update(state="failed")
    assert group(page, "missing")["action"] is None  # while a tab may be uploading them
    page.client.post(address("batch_control"), {"action": "forget_missing"})
    assert BatchFile.objects.missing().exists()
    for rows in (Job.objects, BatchFile.objects):
        rows.update(updated_at=timezone.now() - register.ABANDONED_AFTER)
    page.cursor = page.etag = ""
    action = group(page, "missing")["action"]
    assert action["label"] == "Don't wait for them"
    page.client.post(action["url"], action["fields"])
    answer = page.poll()
    assert answer
    assert (answer["counts"]["missing"], [each["key"] for each in answer["groups"]]) == (0, ["failed"])


# What its buttons do


def test_a_script_gets_an_empty_answer(world: World, alice: Client) -> None:
    add(world)
    response = alice.post(address("batch_control"), {"action": "pause"}, headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (204, b"")
    assert the_batch().paused_at


def test_a_script_is_told_what_it_has_cancelled(world: World, alice: Client) -> None:
    job = add(world)[0]
    for keys in ([job.pk], []):
        response = alice.post(address("batch_control"), {"action": "cancel"}, headers={"HX-Request": "true"})
        assert response.json() == {"cancelled": keys}


def test_a_form_leads_back_and_says_what_was_done(world: World, alice: Client) -> None:
    add(world)
    response = alice.post(address("batch_control"), {"action": "cancel"}, follow=True)
    assert "1 picture cancelled" in response.content.decode()


@pytest.mark.parametrize("fields", [{}, {"action": "delete"}, {"action": "retry", "state": "done"}])
def test_nothing_else_is_done(world: World, alice: Client, fields: dict[str, str]) -> None:
    add(world)
    assert alice.post(address("batch_control"), fields).status_code == 400


@pytest.mark.parametrize("name", ["batch_control", "batch_rename", "batch_proof"])
def test_a_viewer_changes_nothing(world: World, client: Client, name: str) -> None:
    add(world)
    client.force_login(world.vera)
    assert client.post(address(name), {"action": "pause", "name": "x"}).status_code == 403


@pytest.fixture
def done(world: World, server: Server) -> list[Job]:
    jobs = add(world, 3)
    wire.run(server)
    wire.run(server)
    return jobs


def test_cut_outs_are_approved_and_taken_back(world: World, alice: Client, done: list[Job]) -> None:
    keys = [job.pk for job in done]
    post(alice, "batch_proof", job=keys, proof="approved")
    assert list(Job.objects.order_by("pk").values_list("proof", flat=True)) == ["approved", "approved", ""]
    approved = Job.objects.get(pk=keys[0])
    assert (approved.proofed_by, approved.proofed_at is not None) == (world.alice, True)
    post(alice, "batch_proof", job=keys[:1], proof="")
    post(alice, "batch_proof", job=keys[1:], proof="rejected")
    assert list(Job.objects.order_by("pk").values_list("proof", "proofed_by")) == [
        ("", None),
        ("rejected", world.alice.pk),
        ("", None),
    ]


def test_another_batchs_cut_out_is_not_decided_on(world: World, alice: Client, done: list[Job]) -> None:
    add(world, batch=(other := uuid4()))
    alice.post(address("batch_proof", other), {"job": [done[0].pk], "proof": "approved"})
    assert not Job.objects.exclude(proof="").exists()


def test_a_cursor_survives_its_way() -> None:
    assert Cursor.parse(str(Cursor(5, 6, 7))) == Cursor(5, 6, 7)


# Time left


def test_the_time_left_is_told_once_it_can_be(world: World, page: Page, server: Server) -> None:
    add(world, 6)
    for _ in range(2):
        wire.run(server)
    answer = page.poll()
    assert answer
    assert answer["left"] is None
    wire.run(server)
    answer = page.poll()
    assert answer
    assert answer["left"] == "less than a minute left"


def test_a_long_name_breaks_after_its_separators() -> None:
    assert breakable("SKU-1<b>_front.jpg") == "SKU-<wbr>1&lt;b&gt;_<wbr>front.<wbr>jpg"
    assert breakable("_&'.") == "_<wbr>&amp;&#x27;."
