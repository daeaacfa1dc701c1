"""The gateway over a real wire: what the program gets, and what is booked, for each upstream response."""

import io
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from django.test import Client
from PIL import Image
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer
from conftest import World, hold_of, small_png
from jobs.audit.reconcile import books
from jobs.models import Attempt, Job
from jobs.renditions.previews import Side, Size, preview
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server
from pixian.client import backoff

pytestmark = pytest.mark.both_databases

Reason = Job.Reason
UNTOUCHED = Balances(available=100 * CREDIT)


def refusal(answer: httpx.Response) -> tuple[int, int]:
    """Status and code."""
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    assert error["message"]
    return answer.status_code, error["code"]


def the_job() -> Job:
    return Job.objects.with_books().get()


def stored(settings: Settings) -> list[Path]:
    folders = (settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR)
    return [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]


def assert_nothing_was_written(settings: Settings) -> None:
    assert not Job.objects.exists()
    assert not Transfer.objects.filter(kind="hold").exists()
    assert stored(settings) == []


def test_a_call_is_a_job_and_the_answer_is_the_upstreams(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.answer(wire.picture("red"), charged="0.750000"))
    answer = program.call(fields={"result.margin": "5%", "new_option": "x"})

    assert (answer.status_code, answer.content) == (200, wire.picture("red"))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Credits-Charged"] == "0.750000"
    job = the_job()
    assert (job.state, job.origin, job.api_key, job.created_by) == (
        "done",
        "api",
        program.key,
        committed_world.bob,
    )
    assert (job.options, job.ignored) == ({"result.margin": "5%"}, ["new_option"])
    assert job.name == "photo.png"
    hold = hold_of(job.last_attempt)
    assert (hold.actor, hold.api_key) == (committed_world.bob, program.key)
    assert ledger.balances(committed_world.team) == Balances(available=99_250_000, spent=750_000)
    assert books(job).verdict == "matched"
    with job.source.open() as source, job.result.open() as result:
        assert (source.read(), result.read()) == (small_png(), wire.picture("red"))


def test_options_go_to_the_upstream_as_they_were_understood(program: Program, server: Server) -> None:
    program.call(fields={"output.format": "JPEG", "test": "False", "result.margin": " 5% "})
    (body,) = server.bodies
    for name, text in (("output.format", b"jpeg"), ("test", b"false"), ("result.margin", b"5%")):
        assert f'name="{name}"\r\n\r\n'.encode() + text + b"\r\n" in body
    assert b"max_pixels" not in body


def test_nothing_is_held_or_booked_in_test_mode(
    committed_world: World, program: Program, server: Server
) -> None:
    ledger.adjust(
        committed_world.team, -100 * CREDIT, key="none", actor=committed_world.alice, memo="for the test"
    )
    server.script.append(wire.answer(charged="0.000000"))
    answer = program.call(fields={"test": "true"})
    assert (answer.status_code, answer.headers["X-Credits-Charged"]) == (200, "0.000000")
    job = the_job()
    assert (job.test, job.state, job.last_attempt.state, job.last_attempt.hold) == (
        True,
        "done",
        "booked",
        None,
    )
    assert not Transfer.objects.exclude(kind__in=["grant", "adjust"]).exists()
    assert books(job).verdict == "matched"


def test_a_refusal_is_passed_on(committed_world: World, program: Program, server: Server) -> None:
    server.script.append(wire.error(400, 1006, "Not a picture"))
    answer = program.call()
    assert refusal(answer) == (400, 1006)
    assert answer.json()["error"]["message"] == "Not a picture"
    assert (the_job().state, the_job().reason) == ("failed", Reason.REFUSED)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_a_server_error_is_passed_on_and_not_repeated(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.error(503, -3, "Overloaded", Retry_After="7"))
    answer = program.call()
    assert (refusal(answer), answer.headers["Retry-After"]) == ((503, -3), "7")
    assert (the_job().state, the_job().reason, server.calls) == ("failed", Reason.PASSED_ON, 1)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_an_error_that_isnt_json_is_put_into_the_envelope(program: Program, server: Server) -> None:
    server.script.append(wire.error(500))
    answer = program.call()
    assert answer.status_code == 500
    assert "HTTP 500" in answer.json()["error"]["message"]


def test_an_error_that_was_charged_is_booked(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.error(500, X_Credits_Charged="0.5"))
    assert program.call().status_code == 500
    assert ledger.balances(committed_world.team) == Balances(available=99_500_000, spent=500_000)


def test_a_429_is_waited_out(
    committed_world: World, program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "STEP_SECONDS", 0.05)
    server.script.extend([wire.error(429, 1015), wire.error(429, 1015), wire.answer()])
    assert program.call().status_code == 200
    assert (server.calls, the_job().last_attempt.sends, the_job().attempts.count()) == (3, 3, 1)
    assert ledger.balances(committed_world.team).spent == CREDIT


def test_beyond_the_bound_a_429_is_passed_on(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.error(429, 1015, "Slow down", Retry_After="11"))
    answer = program.call()
    assert (refusal(answer), answer.headers["Retry-After"]) == ((429, 1015), "11")
    assert (the_job().state, the_job().reason) == ("failed", Reason.PASSED_ON)
    assert ledger.balances(committed_world.team) == UNTOUCHED


@pytest.mark.parametrize(("status", "code"), [(401, 1004), (402, 1011), (403, 0), (404, 0)])
def test_what_only_the_operator_can_mend_is_told_as_out_of_order(
    committed_world: World, program: Program, server: Server, status: int, code: int
) -> None:
    """The program's own key and credits are fine, so it must not be told that they aren't."""
    server.script.append(wire.error(status, code, "The account"))
    answer = program.call()
    assert refusal(answer) == (503, -3)
    assert "operator" in answer.json()["error"]["message"]
    assert int(answer.headers["Retry-After"]) > 0
    assert (the_job().last_attempt.error_code or 0) == code
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_a_service_that_cant_be_reached_is_told(
    committed_world: World, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire.serving() as gone:
        pass
    monkeypatch.setattr("jobs.api.requests.upstream", lambda: gone.upstream)
    assert refusal(program.call()) == (503, -3)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_a_call_that_is_never_answered_is_in_doubt(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.no_answer)
    answer = program.call()
    assert refusal(answer) == (504, -10)
    assert (the_job().state, the_job().reason, server.calls) == ("in_doubt", Reason.UNANSWERED, 1)
    assert ledger.balances(committed_world.team).held == CREDIT


def test_a_result_that_breaks_off_breaks_off(
    committed_world: World, program: Program, server: Server
) -> None:
    """The program must not take half a picture for a whole one; what it cost is known."""
    server.script.append(wire.answer(cut=True))
    with pytest.raises(Exception, match="lost"):
        program.call()
    assert (the_job().state, the_job().reason) == ("failed", Reason.RESULT_LOST)
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_a_200_without_a_picture_never_looks_whole(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.answer(b"<script>alert(1)</script>", kind="text/html"))
    with pytest.raises(Exception, match="no picture"):
        program.call()
    assert the_job().reason == Reason.NOT_A_PICTURE
    assert ledger.balances(committed_world.team).spent == CREDIT


def test_a_result_longer_than_any_upload_is_kept(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.answer(small_png(3, 65_536)))
    answer = program.call(fields={"result.target_size": "3 65536"})
    assert (answer.status_code, answer.content) == (200, small_png(3, 65_536))
    job = the_job()
    assert (job.state, books(job).verdict) == ("done", "matched")
    preview(job, Side.AFTER, Size.TILE)


def test_a_charge_that_cant_be_read_waits_for_a_person(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.append(wire.answer(charged=None))
    answer = program.call()
    assert (answer.status_code, "X-Credits-Charged" in answer.headers) == (200, False)
    assert books(the_job()).verdict == "no_header"
    assert ledger.balances(committed_world.team).held == CREDIT


def test_what_the_upstream_says_to_a_web_server_isnt_passed_on(program: Program, server: Server) -> None:
    orders = (("X-Accel-Redirect", "/etc/passwd"), ("Set-Cookie", "a=b"))
    server.script.append(replace(wire.answer(), headers=orders))
    headers = program.call().headers
    assert "X-Accel-Redirect" not in headers
    assert "Set-Cookie" not in headers


def test_without_credits_nothing_is_written(
    committed_world: World, program: Program, server: Server, settings: Settings
) -> None:
    ledger.adjust(
        committed_world.team,
        -(100 * CREDIT - 1),
        key="rest",
        actor=committed_world.alice,
        memo="for the test",
    )
    answer = program.call()
    assert refusal(answer) == (402, 1011)
    assert "0.000001" in answer.json()["error"]["message"]
    assert_nothing_was_written(settings)
    assert server.calls == 0


def test_two_pictures_at_once_are_refused(program: Program, settings: Settings) -> None:
    answer = program.call(fields={"image.url": "https://example.org/a.jpg"})
    assert refusal(answer) == (400, 1019)
    assert_nothing_was_written(settings)


def test_options_may_not_be_a_way_to_fill_the_disk(program: Program, settings: Settings) -> None:
    assert refusal(program.call(fields={"result.margin": "0" * 70_000})) == (400, 1019)
    assert_nothing_was_written(settings)
    assert program.call(fields={"x": "y" * 70_000}).status_code == 200
    assert "yyy" not in str(Job.objects.values())


def test_only_what_is_processed_is_held(committed_world: World, program: Program, server: Server) -> None:
    server.script.append(wire.answer(charged="0.25"))
    program.call(small_png(2000, 2000), fields={"max_pixels": "250000"})
    assert hold_of(the_job().last_attempt).amount_microcredits == 250_000
    assert books(the_job()).verdict == "matched"


def test_the_account_is_the_teams(committed_world: World, program: Program) -> None:
    account = program.account().json()
    assert (account["credits"], account["state"], account["creditPack"]) == (100.0, "active", "none")
    ledger.hold(committed_world.team, 1, key="h", reference="")
    assert program.account().json()["credits"] == 99.999999


def test_a_large_result_comes_whole(program: Program, server: Server) -> None:
    file = io.BytesIO()
    Image.effect_noise((1200, 1200), 90).save(file, "PNG")
    server.script.append(wire.answer(file.getvalue()))
    assert program.call().content == file.getvalue()
    assert Attempt.objects.get().state == "booked"


def test_the_history_shows_which_key_it_was(
    committed_world: World, program: Program, server: Server, client: Client
) -> None:
    server.script.append(wire.answer(wire.jpeg("red"), kind="image/jpeg"))
    program.call(fields={"output.format": "jpeg", "result.margin": "5%"})
    client.force_login(committed_world.vera)
    job, slug = the_job(), committed_world.team.slug
    for address in (f"/t/{slug}/history/", f"/t/{slug}/jobs/{job.pk}/"):
        assert "shop (bob@example.org)" in client.get(address).content.decode()
    page = client.get(f"/t/{slug}/jobs/{job.pk}/").content.decode()
    assert "output.format: jpeg" in page
    assert "data-compare" not in page  # its margin moves it, so that it doesn't lie on the original
    download = client.get(f"/t/{slug}/jobs/{job.pk}/cutout.png")
    assert download["Content-Type"] == "image/jpeg"
    assert 'filename="photo-cutout.jpg"' in download["Content-Disposition"]
    download.close()


def test_a_failed_call_of_a_program_offers_no_second_try(
    committed_world: World, program: Program, server: Server, client: Client
) -> None:
    server.script.append(wire.error(400, 1006, "No"))
    program.call()
    client.force_login(committed_world.bob)
    page = client.get(f"/t/{committed_world.team.slug}/jobs/{the_job().pk}/").content.decode()
    assert "Retry" not in page
