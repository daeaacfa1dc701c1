"""Dropping pictures: who may, what is taken in, and what each refusal says and leaves behind."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.money import display
from accounts.models import AllowanceUse, Membership, Transfer, User
from conftest import World, hold_of, small_png
from jobs.models import Job
from jobs.tests.upstream import Server, run
from jobs.views import hold_errors

SCRIPT = {"HX-Request": "true"}


def file(content: bytes | None = None, name: str = "photo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, small_png() if content is None else content, "image/png")


def page(world: World, name: str = "workspace", *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def send(client: Client, world: World, user: User, *files: SimpleUploadedFile, **fields: Any) -> Any:
    """Upload as the page's script does."""
    client.force_login(user)
    data = {"image": files, "request_id": uuid4(), "batch": uuid4()} | fields
    return client.post(page(world, "upload"), data, headers=SCRIPT)


def drop(client: Client, world: World, user: User, *files: SimpleUploadedFile, **fields: Any) -> Any:
    """Upload as a plain form does."""
    client.force_login(user)
    return client.post(page(world, "upload"), {"image": files, "batch": uuid4()} | fields)


def text(response: Any) -> str:
    return str(response.content.decode())


def test_a_picture_with_a_blank_name_is_a_picture(client: Client, world: World, server: Server) -> None:
    """It was accepted once, and rejected by the service: a part without a file name is no file."""
    assert send(client, world, world.bob, file(name=" ")).status_code == 201
    job, _ = run(server)
    assert (job.state, job.name) == ("done", "picture")
    assert b'name="image"; filename="picture"' in server.bodies[0]


def assert_nothing_happened(settings: Settings) -> None:
    assert not Job.objects.exists()
    assert not Transfer.objects.filter(kind="hold").exists()
    for folder in (settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR):
        assert not [path for path in Path(folder).rglob("*") if path.is_file()]


def test_a_picture_is_taken_in(world: World, client: Client, photo: Callable[[str], bytes]) -> None:
    batch = uuid4()
    picture = file(photo("chelsea"), "Chloé.jpg")
    response = send(client, world, world.bob, picture, batch=batch)

    assert (response.status_code, text(response)) == (201, "")
    job = Job.objects.get()
    assert (job.team, job.created_by, job.batch_id) == (world.team, world.bob, batch)
    assert (job.name, job.state) == ("Chloé.jpg", "queued")
    hold = hold_of(job.last_attempt)
    assert (hold.amount_microcredits, hold.actor) == (451 * 300, world.bob)
    assert ledger.balances(world.team).held == 451 * 300


@pytest.mark.parametrize(
    ("who", "status", "may_upload"),
    [("alice", 200, True), ("bob", 200, True), ("vera", 200, False), ("charlie", 404, False)],
)
def test_who_sees_the_page(world: World, client: Client, who: str, status: int, may_upload: bool) -> None:
    client.force_login(getattr(world, who))
    response = client.get(page(world))
    assert response.status_code == status
    assert (f'action="{page(world, "upload")}"' in text(response)) == may_upload


def test_no_team_is_like_a_team_of_others(world: World, client: Client) -> None:
    client.force_login(world.charlie)
    others, none = client.get(page(world)), client.get(reverse("workspace", args=["no-such-team"]))
    assert (others.status_code, none.status_code) == (404, 404)
    token = re.compile(r'value="\w{64}"')
    assert token.sub("", text(others)) == token.sub("", text(none))


@pytest.mark.parametrize("name", ["workspace", "upload", "batch"])
def test_strangers_are_sent_to_the_log_in(world: World, client: Client, name: str) -> None:
    address = page(world, name, *([uuid4()] if name == "batch" else []))
    ask = client.post if name == "upload" else client.get
    response = ask(address)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{reverse('account_login')}?next={address}"
    told = ask(address, headers=SCRIPT)
    assert told.status_code == 401
    assert "signed out" in text(told)


@pytest.mark.parametrize(("name", "method"), [("workspace", "post"), ("upload", "get"), ("batch", "post")])
def test_each_address_has_its_method(world: World, client: Client, name: str, method: str) -> None:
    client.force_login(world.alice)
    address = page(world, name, *([uuid4()] if name == "batch" else []))
    assert getattr(client, method)(address).status_code == 405


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("charlie", 404)])
@pytest.mark.parametrize("way", [send, drop])
def test_who_may_not_spend_leaves_nothing_behind(
    world: World, client: Client, settings: Settings, who: str, status: int, way: Callable[..., Any]
) -> None:
    assert way(client, world, getattr(world, who), file()).status_code == status
    assert_nothing_happened(settings)


@pytest.mark.parametrize("header", [SCRIPT, {}], ids=["script", "form"])
def test_a_forged_form_is_refused(world: World, settings: Settings, header: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.bob)
    response = client.post(page(world, "upload"), {"image": file()}, headers=header)
    assert response.status_code == 403
    assert_nothing_happened(settings)


def test_the_pages_own_form_is_taken(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.bob)
    token = client.get(page(world)).context["csrf_token"]
    data = {"image": file(), "csrfmiddlewaretoken": str(token)}
    assert client.post(page(world, "upload"), data).status_code == 302
    assert Job.objects.count() == 1


def test_a_drop_is_shown_as_its_batch(world: World, client: Client) -> None:
    batch = uuid4()
    response = drop(client, world, world.bob, file(name="a.png"), file(name="b.png"), batch=batch)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{page(world)}?batch={batch}"
    assert set(Job.objects.values_list("batch", flat=True)) == {batch}


def test_a_bad_file_does_not_hold_up_the_others(world: World, client: Client) -> None:
    good, bad = (
        [file(name="a.png"), file(name="b.png")],
        [file(b"a letter", "letter.jpg"), file(b"", "no.jpg")],
    )
    response = drop(client, world, world.bob, good[0], *bad, good[1])
    assert response.status_code == 400
    assert sorted(Job.objects.values_list("name", flat=True)) == ["a.png", "b.png"]
    for expected in ("letter.jpg", "a picture we can read", "no.jpg", "The file is empty"):
        assert expected in text(response)
    assert [refusal.name for refusal in response.context["refusals"]] == ["letter.jpg", "no.jpg"]


def test_a_hostile_name_is_shown_as_text(world: World, client: Client) -> None:
    response = drop(client, world, world.bob, file(b"x", "<img src=x onerror=alert(1)>.png"))
    assert response.status_code == 400
    assert "<img src=x" not in text(response)


@pytest.mark.parametrize("name", ["..", ".", "../..", "/"])
def test_a_name_that_is_only_a_path_is_no_file(world: World, client: Client, name: str) -> None:
    client.force_login(world.bob)
    body = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\nx\r\n--x--\r\n'
    response = client.generic("POST", page(world, "upload"), body, "multipart/form-data; boundary=x")
    assert response.status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize("way", [send, drop])
def test_no_file_is_asked_for(world: World, client: Client, way: Callable[..., Any]) -> None:
    response = way(client, world, world.bob)
    assert response.status_code == 400
    assert "Choose a picture" in text(response)


def test_a_refusal_is_a_plain_text_to_a_script(world: World, client: Client, settings: Settings) -> None:
    response = send(client, world, world.bob, file(b"a letter"))
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text(response).startswith("This isn't a picture we can read")
    assert_nothing_happened(settings)


@pytest.mark.parametrize("way", [send, drop])
def test_too_few_credits_are_told_with_both_amounts(
    world: World, client: Client, settings: Settings, way: Callable[..., Any]
) -> None:
    ledger.adjust(world.team, -99_250_000, key="rest", actor=world.alice, memo="for the test")
    response = way(client, world, world.bob, file(small_png(1500, 1000)))
    assert response.status_code == 402
    assert "cost 1.5 credits, but only 0.75 are available" in text(response)
    assert_nothing_happened(settings)


def test_credits_for_two_take_in_two_of_three(world: World, client: Client) -> None:
    ledger.adjust(world.team, -98 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    response = drop(client, world, world.bob, *(file(name=f"{n}.png") for n in range(3)))
    assert response.status_code == 402
    assert sorted(Job.objects.values_list("name", flat=True)) == ["0.png", "1.png"]
    assert [refusal.name for refusal in response.context["refusals"]] == ["2.png"]


def test_nothing_new_until_what_is_owed_is_covered(world: World, client: Client) -> None:
    held = ledger.hold(world.team, 99 * CREDIT, key="hold:1", reference="")
    ledger.settle(held, 103_500_000)
    response = send(client, world, world.bob, file())
    assert response.status_code == 402
    assert "owes 3.5 credits" in text(response)
    assert not Job.objects.exists()


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time to 4 March, in the middle of a day and of a month."""
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 3, 4, 12, tzinfo=UTC))


def allow(world: World, credits_: int, **more: Any) -> None:
    """Give bob a daily allowance of which he has already spent 8.5 credits."""
    ledger.hold(world.team, 8_500_000, key="before", reference="", actor=world.bob)
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=credits_ * CREDIT, period="day", **more)


@pytest.mark.parametrize("way", [send, drop])
def test_an_allowance_that_does_not_reach_says_so_and_writes_nothing(
    world: World, client: Client, settings: Settings, noon: None, way: Callable[..., Any]
) -> None:
    allow(world, 9)
    before = (*Transfer.objects.values_list("pk", flat=True),), *AllowanceUse.objects.values_list()
    response = way(client, world, world.bob, file())
    assert response.status_code == 402
    assert (
        "This picture may cost 1 credits, but your allowance has only 0.5 left: 8.5 of 9 per day are used. "
        "It renews on 5 March 2026, 00:00."
    ) in text(response)
    assert not Job.objects.exists()
    assert not [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]
    assert ((*Transfer.objects.values_list("pk", flat=True),), *AllowanceUse.objects.values_list()) == before
    assert send(client, world, world.alice, file()).status_code == 201


def test_a_keys_allowance_is_explained_apart_from_the_users_own(world: World, noon: None) -> None:
    key = keys.create(world.team, world.bob, "shop")[0]
    allowances.grant(key, limit=CREDIT, period="month")
    with pytest.raises(ledger.AllowanceUsedUpError) as caught:
        ledger.hold(world.team, 2 * CREDIT, key="a", reference="", actor=world.bob, api_key=key)
    assert "the API key's allowance has only 1 left: 0 of 1 per month are used" in hold_errors.message_for(
        caught.value
    )
    assert "1 April 2026, 00:00" in hold_errors.message_for(caught.value)


@pytest.mark.parametrize(("credits_", "tone"), [(8, "fail"), (9, "doubt"), (10, "doubt"), (11, "")])
def test_the_users_allowance_is_shown_beside_the_balance(
    world: World, client: Client, credits_: int, tone: str
) -> None:
    allow(world, credits_, warn_percent=85)
    left = display(max(0, credits_ * CREDIT - 8_500_000))
    client.force_login(world.bob)
    for address in (page(world), page(world, "history")):
        shown = re.sub(r"\s+", " ", text(client.get(address)))
        assert f"8.5 of {credits_} credits used today, {left} left" in shown
        assert f'class="state {tone}"' in shown
    client.force_login(world.alice)
    assert "credits used today" not in text(client.get(page(world)))


def test_a_request_sent_twice_is_one_job(world: World, client: Client) -> None:
    ids = {"request_id": uuid4(), "batch": uuid4()}
    statuses = [send(client, world, world.bob, file(), **ids).status_code for _ in range(2)]
    assert statuses == [201, 201]
    assert Job.objects.get().request_id == ids["request_id"]
    assert ledger.balances(world.team).held == CREDIT


def test_a_requests_number_stands_for_one_picture(world: World, client: Client) -> None:
    ids = {"request_id": uuid4()}
    send(client, world, world.bob, file(), **ids)
    response = send(client, world, world.bob, file(small_png(9, 9)), **ids)
    assert response.status_code == 409
    assert "Another picture" in text(response)
    assert Job.objects.count() == 1
    assert ledger.balances(world.team).held == CREDIT


def test_a_number_belongs_to_its_team(world: World, client: Client) -> None:
    ids = {"request_id": uuid4()}
    send(client, world, world.bob, file(), **ids)
    client.force_login(world.charlie)
    address = reverse("upload", args=["outsiders"])
    response = client.post(address, {"image": file(small_png(9, 9))} | ids, headers=SCRIPT)
    assert response.status_code == 201
    assert Job.objects.get(team__slug="outsiders").created_by == world.charlie


@pytest.mark.parametrize("fields", [{"request_id": "x"}, {"request_id": "1" * 5000}])
def test_a_malformed_number_is_refused(world: World, client: Client, fields: dict[str, str]) -> None:
    response = send(client, world, world.bob, file(), **fields)
    assert response.status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize("batch", ["", "x", "0", "' OR 1=1"])
def test_a_malformed_batch_starts_a_new_one(world: World, client: Client, batch: str) -> None:
    assert send(client, world, world.bob, file(), batch=batch).status_code == 201
    response = client.get(page(world), {"batch": batch})
    assert response.status_code == 200
