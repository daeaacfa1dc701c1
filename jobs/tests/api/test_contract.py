"""What the gateway does with a request's words: names, values, versions, and errors in their order."""

import json
from dataclasses import replace
from typing import Any

import pytest
import structlog
from django.test import Client

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.models import Attempt, Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import REMOVE, Program
from jobs.tests.api.test_pixian import UNTOUCHED, refusal, the_job
from jobs.tests.upstream import Server, run
from pixian.client.backoff import Backoff

V1 = "/api/v1/remove-background"
SECRET = "an-echo-of-the-request"


def page_of(client: Client, world: World, job: Job, address: str = "jobs/{pk}/") -> str:
    client.force_login(world.bob)
    return client.get(f"/t/{world.team.slug}/{address.format(pk=job.pk)}").content.decode()


def test_ignored_names_are_kept_and_shown(
    committed_world: World, program: Program, reader: Program, server: Server, client: Client
) -> None:
    answer = program.call(fields={"backgroud.color": "#fff", "result.margin": "5%"}, params={"utm<b>": "x"})
    assert answer.status_code == 200
    job = the_job()
    assert (job.options, job.ignored) == ({"result.margin": "5%"}, ["backgroud.color", "utm<b>"])
    assert b"backgroud" not in server.bodies[0]
    page = page_of(client, committed_world, job)
    assert "Ignored, because" in page
    assert "<code>backgroud.color</code>" in page
    assert "<code>utm&lt;b&gt;</code>" in page
    assert reader.http.get(f"/api/jobs/{job.pk}").json()["ignored"] == ["backgroud.color", "utm<b>"]


def test_a_call_without_a_mistake_shows_none(
    committed_world: World, program: Program, reader: Program, server: Server, client: Client
) -> None:
    program.call(fields={"test": "", "output.format": "png"})
    assert the_job().ignored == []
    assert "Ignored" not in page_of(client, committed_world, the_job())
    assert reader.http.get(f"/api/jobs/{the_job().pk}").json()["ignored"] == []


def test_ignored_names_are_bounded_and_can_be_stored(program: Program, server: Server) -> None:
    odd = {"n" * 500: "", "\ud800": "", " ": "", "x\r\ny": "v" * 70_000}
    many = {f"n{number}": "" for number in range(40)}
    parts = [(name.encode("utf-8", "surrogatepass"), text.encode()) for name, text in (odd | many).items()]
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part for part in parts
    )
    body += (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n%s\r\n--b--' % small_png()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert program.http.post(REMOVE, content=body, headers=headers).status_code == 200
    names = the_job().ignored
    assert len(names) == 20
    assert names[:3] == ["n" * 60, "\ufffd" * 3, "x"]
    assert all(name.isprintable() and len(name) <= 60 for name in names)
    assert the_job().options == {}


def test_a_file_under_another_name_is_told_too(program: Program, server: Server) -> None:
    files = {"image": ("a.png", small_png()), "mask": ("b.png", b"x")}
    assert program.http.post(REMOVE, files=files).status_code == 200
    assert the_job().ignored == ["mask"]


def test_the_drop_in_keeps_them_as_well(program: Program, server: Server) -> None:
    fields = {"roi": "0% 0% 100% 100%", "bgcolor": "fff", "size": "FULL", "crop": "FALSE"}
    answer = program.http.post("/v1.0/removebg", files={"image_file": ("a.png", small_png())}, data=fields)
    assert answer.status_code == 200
    assert the_job().ignored == ["roi", "bgcolor"]
    assert the_job().options == {"output.format": "png"}


def test_values_are_stored_and_shown_as_they_were_understood(
    committed_world: World, program: Program, server: Server, client: Client
) -> None:
    program.call(fields={"output.format": "Delta_PNG", "test": "FALSE", "result.crop_to_foreground": "False"})
    job = the_job()
    expected = {"output.format": "delta_png", "test": "false", "result.crop_to_foreground": "false"}
    assert job.options == expected
    assert (job.is_delta, job.keeps_frame, job.result_name) == (True, True, "photo-delta.png")
    page = page_of(client, committed_world, job)
    assert "A delta PNG" in page
    assert "data-compare" in page


@pytest.mark.parametrize("spelled", ["Delta_PNG", " DELTA_PNG "])
def test_what_was_stored_as_it_was_spelled_is_understood_too(
    program: Program, server: Server, spelled: str
) -> None:
    program.call()
    Job.objects.update(options={"output.format": spelled, "result.crop_to_foreground": "False"})
    assert (the_job().is_delta, the_job().keeps_frame) == (True, True)


def test_another_spelling_is_the_same_request(program: Program, server: Server) -> None:
    key = {"Idempotency-Key": "a"}
    for fields in ({"output.format": "PNG"}, {"output.format": "png", "test": ""}, {"output.format": " Png"}):
        assert program.call(fields=fields, headers=key).status_code == 200
    assert server.calls == 1
    assert refusal(program.call(fields={"output.format": "jpeg"}, headers=key)) == (409, 409)


def test_the_first_version_is_a_job_like_any_other(
    committed_world: World, program: Program, server: Server
) -> None:
    fields = {
        "maxPixels": "1000",
        "result.verticalAlignment": "TOP",
        "result.crop_to_foreground": "True",
        "x": "y",
    }
    answer = program.http.post(V1, files={"image": ("a.png", small_png())}, data=fields)
    assert (answer.status_code, answer.headers["Deprecation"]) == (200, "@1686614400")
    job = the_job()
    assert job.options == {
        "max_pixels": "1000",
        "result.vertical_alignment": "top",
        "result.crop_to_foreground": "true",
    }
    assert (job.origin, job.ignored, job.priced_pixels) == ("api", ["x"], 1000)
    assert b'name="max_pixels"' in server.bodies[0]
    assert b"maxPixels" not in server.bodies[0]
    assert ledger.balances(committed_world.team).spent == CREDIT


NAMES = [
    ("C:\\Users\\bob\\photo.jpg", "photo.jpg"),
    ("../../secret/photo.jpg", "photo.jpg"),
    ("55%22 screen.jpg", '55" screen.jpg'),
    (" ", "picture"),
    ("..", "picture"),
]


@pytest.mark.parametrize(("sent", "kept"), NAMES)
def test_a_name_is_kept_without_its_path(
    committed_world: World, program: Program, server: Server, client: Client, sent: str, kept: str
) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{sent}"\r\n\r\n'.encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = program.http.post(REMOVE, content=part + small_png() + b"\r\n--b--\r\n", headers=headers)
    assert answer.status_code == 200, answer.text
    assert the_job().name == kept
    assert b'filename="' + kept.replace('"', "%22").encode() + b'"' in server.bodies[0]
    history = page_of(client, committed_world, the_job(), "history/")
    assert "Users" not in history
    assert "secret" not in history


def test_a_result_is_an_attachment_under_a_safe_name(program: Program, server: Server) -> None:
    key = {"Idempotency-Key": "a"}
    server.script.append(wire.answer(wire.jpeg("red"), kind="image/jpeg"))
    files = {"image": ('Größe 5".png', small_png())}
    first, again = (program.http.post(REMOVE, files=files, headers=key) for _ in range(2))
    told = "attachment; filename=\"Groe 5_-cutout.jpg\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%205%22-cutout.jpg"
    assert first.headers["Content-Disposition"] == again.headers["Content-Disposition"] == told
    assert first.content == again.content
    assert server.calls == 1


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"format": "png"}, "a-cutout.png"),
        ({"format": "zip"}, "a-cutout.zip"),
        ({"format": "jpg"}, "a-cutout.jpg"),
    ],
)
def test_the_drop_ins_result_is_one_too(
    program: Program, server: Server, fields: dict[str, str], name: str
) -> None:
    answer = program.http.post("/v1.0/removebg", files={"image_file": ("a.png", small_png())}, data=fields)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_an_upstreams_own_name_is_not_passed_on(program: Program, server: Server) -> None:
    disposition = (("Content-Disposition", 'inline; filename="evil.html"'),)
    server.script.append(replace(wire.answer(), headers=disposition))
    assert program.call().headers["Content-Disposition"] == 'attachment; filename="photo-cutout.png"'


@pytest.mark.parametrize("path", [f"{REMOVE}/", "/api//v2/remove-background", f"/{REMOVE}//"])
def test_a_slash_too_many_is_the_same_call(program: Program, server: Server, path: str) -> None:
    url = program.http.base_url.copy_with(raw_path=path.encode())
    answer = program.http.post(url, files={"image": ("a.png", small_png())})
    assert (answer.status_code, server.calls) == (200, 1)


@pytest.mark.parametrize("path", ["/v1.0//account/", "/api/v2/account/", "/api//jobs/", "//api/balance"])
def test_so_it_is_with_what_is_read(program: Program, path: str) -> None:
    url = program.http.base_url.copy_with(raw_path=path.encode())
    assert program.http.get(url).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1.0/", "/v1.0/nothing/", "/api/", "/api/v1/", "/api/v1/account", "/api//v2//"]
)
def test_nothing_is_told_in_an_envelope_there(program: Program, path: str) -> None:
    url = program.http.base_url.copy_with(raw_path=path.encode())
    answer = program.http.get(url)
    assert answer.status_code == 404
    assert answer.json().keys() <= {"error", "errors"}


def test_parameters_are_refused_before_an_address_is_fetched(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 → 429 → bytes → parameters → source → fetch → decode → pixels → credits → work."""
    url = {"image.url": "http://127.0.0.1/a.jpg"}
    assert refusal(program.http.post(REMOVE, data=url)) == (400, 1022)
    too_long = {"Idempotency-Key": "k" * 256}
    assert refusal(program.http.post(REMOVE, data=url, headers=too_long)) == (400, 1019)
    assert refusal(program.http.post(REMOVE, headers=too_long)) == (400, 1019)
    unknown = program.http.post(REMOVE, data={"test": "maybe"}, auth=("px0", "x"))
    assert refusal(unknown) == (401, 1001)


def test_a_picture_is_judged_before_the_credits(committed_world: World, program: Program) -> None:
    ledger.adjust(
        committed_world.team, -100 * CREDIT, key="0", actor=committed_world.alice, memo="for the test"
    )
    assert refusal(program.call(b"no picture")) == (400, 1006)
    assert refusal(program.call(fields={"test": "maybe"})) == (400, 1019)
    assert refusal(program.call()) == (402, 1011)


class TestOutOfTime:
    """429/1017: too little time was left to begin."""

    def test_a_program_hears_nothing_of_one(
        self, committed_world: World, program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not of the step that every 429 costs, either."""
        monkeypatch.setattr("pixian.client.backoff.STEP_SECONDS", 1000)
        server.script.extend([wire.error(429, 1017, "Late"), wire.error(429, 1017, "Late"), wire.answer()])
        assert program.call().status_code == 200
        assert (server.calls, the_job().attempts.count(), the_job().last_attempt.sends) == (3, 1, 3)
        assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)

    def test_it_is_passed_on_after_a_few(
        self, committed_world: World, program: Program, server: Server
    ) -> None:
        server.otherwise = wire.error(429, 1017, "Late")
        answer = program.call()
        assert (refusal(answer), server.calls) == ((429, 1017), 3)
        assert "Retry-After" not in answer.headers
        assert ledger.balances(committed_world.team) == UNTOUCHED
        drop_in = program.http.post("/v1.0/removebg", files={"image_file": ("a.png", small_png())})
        assert (drop_in.status_code, drop_in.json()["errors"][0]["code"]) == (429, "timeout")

    def test_a_longer_wait_than_the_programs_is_left_to_it(self, program: Program, server: Server) -> None:
        server.otherwise = wire.error(429, 1017, "Late", Retry_After="60")
        answer = program.call()
        assert (refusal(answer), answer.headers["Retry-After"], server.calls) == ((429, 1017), "60", 1)

    def test_a_charge_is_booked_all_the_same(
        self, committed_world: World, program: Program, server: Server
    ) -> None:
        server.script.append(wire.error(429, 1017, "Late", X_Credits_Charged="0.5"))
        assert refusal(program.call()) == (429, 1017)
        assert (server.calls, ledger.balances(committed_world.team).spent) == (1, CREDIT // 2)

    def test_a_worker_tries_again_a_few_times_and_slows_nothing_down(
        self, world: World, server: Server
    ) -> None:
        world.job()
        server.otherwise = wire.error(429, 1017, "Late")
        backoff = Backoff()
        for number in range(1, 4):
            job, wait = run(server, backoff)
            assert (wait, backoff.refusals, job.attempts.count()) == (0, 0, min(number + 1, 3))
        assert (job.state, job.reason) == ("failed", Job.Reason.GAVE_UP)
        assert ledger.balances(world.team) == UNTOUCHED

    def test_it_does_not_end_a_row_of_refusals_either(self, world: World, server: Server) -> None:
        world.job()
        server.script.extend([wire.error(429, 1015), wire.error(429, 1017), wire.error(429, 1015)])
        backoff = Backoff()
        assert [run(server, backoff)[1] for _ in range(3)] == [5, 0, 10]


def echoing(status: int, code: int) -> wire.Step:
    """An error as the sister service sends it, with the request beside it."""
    error = {"status": status, "code": code, "message": "No"}
    body = json.dumps({"dataReceived": {"note": SECRET}, "error": error}).encode()
    return replace(wire.error(status, code), content=body)


@pytest.mark.parametrize(("status", "code"), [(400, 1006), (401, 1004), (429, 1015), (500, 500)])
def test_an_echo_of_the_request_is_neither_stored_nor_logged_nor_passed_on(
    program: Program, server: Server, status: int, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.script.append(echoing(status, code))
    with structlog.testing.capture_logs() as logs:
        answer = program.call()
    assert answer.status_code >= 400
    rows: list[Any] = [*Job.objects.values(), *Attempt.objects.values()]
    assert SECRET not in answer.text + str(rows) + str(logs) + caplog.text
    assert "No" in str(rows)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_to_the_same_place_is_one_call(
    committed_world: World, program: Program, server: Server, status: int
) -> None:
    server.script.append(wire.redirect(wire.PATH, status))
    assert program.call(fields={"result.margin": "5%"}).status_code == 200
    job = the_job()
    assert (server.calls, job.attempts.count(), job.last_attempt.sends) == (2, 1, 1)
    first, second = server.bodies
    assert first == second
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/", "https://api.pixian.ai/", "http://[", "\x7f"])
def test_any_other_redirect_waits_for_an_operator(
    committed_world: World, program: Program, server: Server, location: str
) -> None:
    server.script.append(wire.redirect(location))
    assert refusal(program.call()) == (503, -3)
    assert (server.calls, the_job().state) == (1, "failed")
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_a_line_cut_behind_a_redirect_leaves_the_call_in_doubt(
    committed_world: World, program: Program, server: Server
) -> None:
    server.script.extend([wire.redirect(wire.PATH), wire.no_answer])
    assert refusal(program.call()) == (504, -10)
    assert (the_job().state, ledger.balances(committed_world.team).held) == ("in_doubt", CREDIT)


def test_a_workers_call_follows_it_too(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.redirect(wire.PATH, 308))
    job, _ = run(server)
    assert (job.state, job.attempts.count(), server.calls) == ("done", 1, 2)
    assert ledger.balances(world.team).spent == CREDIT
