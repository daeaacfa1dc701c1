"""Taking in pictures, by the page's script and by a plain form: what is kept, and what each refusal says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Membership, Transfer
from conftest import World, hold_of, small_png
from jobs.intake import forms
from jobs.intake.submit import submit
from jobs.models import Batch, BatchFile, Job
from jobs.renditions.decode_limit import DecodeLimit
from jobs.retention import erase
from jobs.tests.browser import SCRIPT, begin, listing, register, send_file, upload
from jobs.tests.upstream import Server, run

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


def picture(content: bytes | None = None, name: str = "photo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, small_png() if content is None else content, "image/png")


def drop(client: Client, *pictures: SimpleUploadedFile, **fields: Any) -> Any:
    """Upload as a plain form does."""
    return client.post(reverse("upload", args=["aurora"]), {"image": pictures, "batch": uuid4()} | fields)


def text(response: Any) -> str:
    return str(response.content.decode())


def assert_nothing_happened(settings: Settings) -> None:
    assert not Job.objects.exists()
    assert not Transfer.objects.filter(kind="hold").exists()
    for folder in (settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR):
        assert not [path for path in Path(folder).rglob("*") if path.is_file()]


def test_a_picture_of_a_batch_is_taken_in(world: World, bob: Client, photo: Callable[[str], bytes]) -> None:
    batch = uuid4()
    response = upload(bob, photo("chelsea"), "Chloé.jpg", batch=batch, number=7, folder="cats/red")

    assert (response.status_code, text(response)) == (201, "")
    job = Job.objects.get()
    assert (job.team, job.created_by, job.batch_id) == (world.team, world.bob, batch)
    assert (job.number, job.folder, job.name, job.state) == (7, "cats/red", "Chloé.jpg", "queued")
    hold = hold_of(job.last_attempt)
    assert (hold.amount_microcredits, hold.actor) == (451 * 300, world.bob)
    assert ledger.balances(world.team).held == 451 * 300


def test_a_plain_form_makes_a_batch_of_its_files(world: World, bob: Client) -> None:
    batch = uuid4()
    response = drop(bob, picture(name="a.png"), picture(name="b.png"), batch=batch)
    assert response.status_code == 302
    assert response.headers["Location"] == reverse("batch", args=["aurora", batch])
    jobs = Job.objects.order_by("number").values_list("number", "name", "batch")
    assert list(jobs) == [(1, "a.png", batch), (2, "b.png", batch)]
    assert Batch.objects.get().created_by == world.bob


def test_a_plain_form_adds_to_its_batch(bob: Client) -> None:
    batch = uuid4()
    drop(bob, picture(name="a.png"), batch=batch)
    drop(bob, picture(name="b.png"), batch=batch)
    assert list(Job.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


@pytest.mark.parametrize("batch", ["", "x", "0", "' OR 1=1"])
def test_a_malformed_batch_is_a_new_one(bob: Client, batch: str) -> None:
    assert drop(bob, picture(), batch=batch).status_code == 302
    assert Job.objects.get().batch == Batch.objects.get()


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("charlie", 404)])
def test_who_may_not_spend_leaves_nothing_behind(
    world: World, client: Client, settings: Settings, who: str, status: int
) -> None:
    client.force_login(world.alice)
    batch, file = begin(client), listing()
    register(client, batch, file)
    client.force_login(getattr(world, who))
    assert drop(client, picture()).status_code == status
    assert send_file(client, batch, file["request_id"], picture()).status_code == status
    assert_nothing_happened(settings)


def test_another_teams_batch_is_like_none(world: World, client: Client, settings: Settings) -> None:
    client.force_login(world.charlie)
    theirs, file = begin(client, "outsiders"), listing()
    register(client, theirs, file, team="outsiders")
    client.force_login(world.bob)
    assert send_file(client, theirs, file["request_id"], picture()).status_code == 404
    assert send_file(client, uuid4(), file["request_id"], picture()).status_code == 404
    assert drop(client, picture(), batch=theirs).status_code == 404
    assert_nothing_happened(settings)


@pytest.mark.parametrize("header", [SCRIPT, {}], ids=["script", "form"])
def test_a_forged_form_is_refused(world: World, settings: Settings, header: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.bob)
    for name, *args in (("upload",), ("batch_upload", uuid4())):
        address = reverse(name, args=["aurora", *args])
        assert client.post(address, {"image": picture()}, headers=header).status_code == 403
    assert_nothing_happened(settings)


def test_the_pages_own_form_is_taken(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.bob)
    token = client.get(reverse("workspace", args=["aurora"])).context["csrf_token"]
    data = {"image": picture(), "csrfmiddlewaretoken": str(token)}
    assert client.post(reverse("upload", args=["aurora"]), data).status_code == 302
    assert Job.objects.count() == 1


def test_a_session_that_ended_is_told_to_the_script(bob: Client, settings: Settings) -> None:
    batch, file = begin(bob), listing()
    register(bob, batch, file)
    bob.logout()
    response = send_file(bob, batch, file["request_id"], picture())
    assert (response.status_code, "signed out" in text(response)) == (401, True)
    assert_nothing_happened(settings)


def test_a_bad_file_does_not_hold_up_the_others(bob: Client) -> None:
    bad = [picture(b"a letter", "letter.jpg"), picture(b"", "no.jpg")]
    response = drop(bob, picture(name="a.png"), *bad, picture(name="b.png"))
    assert response.status_code == 302
    assert list(Job.objects.order_by("number").values_list("number", "name")) == [(1, "a.png"), (4, "b.png")]
    problems = dict(BatchFile.objects.refused().values_list("name", "message"))
    assert problems["letter.jpg"].startswith("This isn't a picture we can read")
    assert problems["no.jpg"] == "The file is empty."
    assert not list(get_messages(response.wsgi_request))


def test_a_refusal_about_the_picture_is_recorded_for_everybody(bob: Client, settings: Settings) -> None:
    response = upload(bob, b"a letter", HOSTILE)
    assert (response.status_code, response.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    file = BatchFile.objects.get()
    assert (file.problem, file.message, file.name) == ("unreadable", text(response), HOSTILE)
    assert_nothing_happened(settings)


def test_a_refusal_is_in_the_readers_language(bob: Client) -> None:
    bob.cookies["django_language"] = "fr"
    assert text(upload(bob, b"")) == BatchFile.objects.get().message == "Le fichier est vide."


def test_a_refusal_that_is_ours_is_not_the_pictures(bob: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = DecodeLimit(total=0, share=1, wait=0)
    with monkeypatch.context() as patch:
        patch.setattr(forms, "DECODING", busy)
        response = upload(bob)
    assert response.status_code == 503
    file = BatchFile.objects.missing().get()
    assert send_file(bob, file.batch_id, file.request_id, picture()).status_code == 201


def test_a_refused_file_can_be_mended_and_sent_again(bob: Client) -> None:
    upload(bob, b"half a letter")
    file = BatchFile.objects.get()
    assert send_file(bob, file.batch_id, file.request_id, picture()).status_code == 201
    file.refresh_from_db()
    assert (file.problem, file.message) == ("", "")


def test_a_file_that_changed_since_it_was_listed_is_not_taken(bob: Client, settings: Settings) -> None:
    response = upload(bob, small_png(9, 9), sha256="0" * 64)
    assert (response.status_code, "has changed" in text(response)) == (422, True)
    assert BatchFile.objects.get().problem == "changed"
    assert_nothing_happened(settings)


def test_a_removed_file_is_not_taken(bob: Client, settings: Settings) -> None:
    batch, file = begin(bob), listing()
    register(bob, batch, file)
    BatchFile.objects.update(problem="removed")
    assert send_file(bob, batch, file["request_id"], picture()).status_code == 410
    assert_nothing_happened(settings)


def test_a_file_whose_batch_is_deleted_during_its_upload_is_not_taken(
    bob: Client, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks before were passed. It would be charged, and stored under its name."""
    batch, file = begin(bob), listing()
    register(bob, batch, file)

    def delete_first(*args: Any, **options: Any) -> Job:
        erase.erase_batch(Batch.objects.get(), world.bob)
        return submit(*args, **options)

    monkeypatch.setattr("jobs.batches.receive.submit", delete_first)
    response = send_file(bob, batch, file["request_id"], picture())
    assert (response.status_code, "was removed" in text(response)) == (410, True)
    assert_nothing_happened(settings)


def test_a_file_that_is_not_listed_is_not_taken(bob: Client, settings: Settings) -> None:
    response = send_file(bob, begin(bob), uuid4(), picture())
    assert (response.status_code, "isn't listed" in text(response)) == (409, True)
    assert_nothing_happened(settings)


def test_no_file_is_asked_for(bob: Client) -> None:
    batch, file = begin(bob), listing()
    register(bob, batch, file)
    response = send_file(bob, batch, file["request_id"], "a text")
    assert (response.status_code, text(response)) == (400, "Choose a picture first.")
    response = drop(bob)
    assert response.headers["Location"] == reverse("workspace", args=["aurora"])
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["Choose a picture first."]


@pytest.mark.parametrize("name", ["..", ".", "../..", "/"])
def test_a_name_that_is_only_a_path_is_no_file(bob: Client, name: str) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\nx\r\n--x--\r\n'
    address = reverse("upload", args=["aurora"])
    response = bob.generic("POST", address, body, "multipart/form-data; boundary=x")
    assert response.status_code == 302
    assert not Job.objects.exists()


def test_a_picture_with_a_blank_name_is_a_picture(bob: Client, server: Server) -> None:
    """It was accepted once, and rejected by the service: a part without a file name is no file."""
    assert drop(bob, picture(name=" ")).status_code == 302
    job, _ = run(server)
    assert (job.state, job.name) == ("done", "picture")
    assert b'name="image"; filename="picture"' in server.bodies[0]


def test_a_picture_without_credits_is_kept(world: World, bob: Client) -> None:
    ledger.adjust(world.team, -98 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    assert drop(bob, *(picture(name=f"{n}.png") for n in range(3))).status_code == 302
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["queued", "queued", "kept"]
    assert ledger.balances(world.team).held == 2 * CREDIT


def test_a_picture_beyond_the_allowance_is_kept(world: World, bob: Client) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=CREDIT, period="day")
    batch = uuid4()
    assert [upload(bob, batch=batch).status_code for _ in range(2)] == [201, 201]
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["queued", "kept"]


def test_a_team_that_owes_keeps_its_pictures(world: World, bob: Client) -> None:
    ledger.settle(ledger.hold(world.team, 99 * CREDIT, key="hold:1", reference=""), 103_500_000)
    assert upload(bob).status_code == 201
    assert Job.objects.get().state == "kept"


def test_a_request_sent_twice_is_one_job(world: World, bob: Client) -> None:
    ids: dict[str, Any] = {"request_id": uuid4(), "batch": uuid4()}
    assert [upload(bob, **ids).status_code for _ in range(2)] == [201, 201]
    assert Job.objects.get().request_id == ids["request_id"]
    assert ledger.balances(world.team).held == CREDIT


def test_a_requests_number_stands_for_one_picture(world: World, bob: Client) -> None:
    ids: dict[str, Any] = {"request_id": uuid4(), "batch": uuid4()}
    upload(bob, **ids)
    response = upload(bob, small_png(9, 9), **ids)
    assert (response.status_code, "Another picture" in text(response)) == (422, True)
    assert Job.objects.count() == 1
    assert BatchFile.objects.get().problem == ""
    assert ledger.balances(world.team).held == CREDIT


def test_a_number_belongs_to_its_team(world: World, client: Client) -> None:
    request_id = uuid4()
    for user, team in ((world.bob, "aurora"), (world.charlie, "outsiders")):
        client.force_login(user)
        assert upload(client, team=team, request_id=request_id).status_code == 201
    assert Job.objects.get(team__slug="outsiders").created_by == world.charlie


@pytest.mark.parametrize("request_id", ["x", "1" * 5000, ""])
def test_a_malformed_number_is_refused(bob: Client, request_id: str) -> None:
    assert send_file(bob, begin(bob), request_id, picture()).status_code == 409
    assert not Job.objects.exists()


def test_a_colleague_may_send_what_is_missing(world: World, bob: Client) -> None:
    """Each picture is on the account of the person who sends it."""
    batch, file = begin(bob), listing()
    register(bob, batch, file)
    bob.force_login(world.alice)
    assert send_file(bob, batch, file["request_id"], picture()).status_code == 201
    assert Job.objects.get().created_by == world.alice
