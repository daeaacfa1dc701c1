"""Our own JSON API returns results and sources as bytes."""

import hashlib
import io

import httpx
import pytest
from django.core.files.storage import default_storage
from PIL import Image

from conftest import World, small_png
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.api.test_pixian import refusal
from jobs.tests.batches.boxes import batch_of
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

PICTURE = small_png(30, 20)
SOURCE = f'"{hashlib.sha256(PICTURE).hexdigest()}"'
RESULT = f'"{hashlib.sha256(wire.CUT_OUT).hexdigest()}"'

both = pytest.mark.parametrize(
    ("part", "content", "etag"), [("source", PICTURE, SOURCE), ("result", wire.CUT_OUT, RESULT)]
)


@pytest.fixture
def job(committed_world: World, server: Server) -> Job:
    """One that is done, and whose result is kept as it came: a very large picture's, or a program's."""
    return done(committed_world, server, wire.answer())


def done(world: World, server: Server, answer: wire.Step) -> Job:
    job = world.job(PICTURE)
    Job.objects.filter(pk=job.pk).update(options={})
    server.script.append(answer)
    return run(server)[0]


def fetch(reader: Program, job: Job, part: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reader.http.get(f"/api/jobs/{job.pk}/{part}", headers=named)


@both
def test_the_bytes_are_those_that_are_kept(
    reader: Program, job: Job, part: str, content: bytes, etag: str
) -> None:
    answer = fetch(reader, job, part)
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == "private, no-cache"


@both
def test_a_browser_saves_them_and_guesses_no_type(
    reader: Program, job: Job, part: str, content: bytes, etag: str
) -> None:
    answer = fetch(reader, job, part)
    name = "photo.png" if part == "source" else "photo-cutout.png"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@both
def test_whoever_has_them_already_isnt_sent_them_again(
    reader: Program, job: Job, part: str, content: bytes, etag: str
) -> None:
    for known in (etag, f'"other", {etag}', "*"):
        answer = fetch(reader, job, part, If_None_Match=known)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert fetch(reader, job, part, If_None_Match='"other"').content == content


def test_a_browsers_result_is_a_png_of_the_whole_cut_out(
    committed_world: World, reader: Program, server: Server
) -> None:
    batch = batch_of(committed_world, server, ["shoe.jpg"])
    job = batch.jobs.get()
    answer = fetch(reader, job, "result")
    image = Image.open(io.BytesIO(answer.content))
    assert (answer.status_code, image.format, image.mode, image.size) == (200, "PNG", "RGBA", (40, 30))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="shoe-cutout.png"'
    assert answer.headers["Content-Type"] == "image/png"
    etag = f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["ETag"] == etag
    assert fetch(reader, job, "result", If_None_Match=etag).status_code == 304
    assert fetch(reader, job, "result").content == answer.content


@pytest.mark.parametrize("part", ["source", "result"])
def test_a_browsers_result_that_cannot_be_made_is_gone(
    committed_world: World, reader: Program, server: Server, part: str
) -> None:
    job = batch_of(committed_world, server, ["shoe.jpg"]).jobs.get()
    default_storage.delete(getattr(job, part).name)
    assert refusal(fetch(reader, job, "result")) == (410, 410)


def test_what_isnt_cut_out_yet_has_no_result(committed_world: World, reader: Program) -> None:
    job = committed_world.job(PICTURE)
    answer = fetch(reader, job, "result")
    assert refusal(answer) == (404, 404)
    assert "queued" in answer.json()["error"]["message"]
    assert fetch(reader, job, "source").content == PICTURE


@both
def test_a_file_that_is_gone_is_told(reader: Program, job: Job, part: str, content: bytes, etag: str) -> None:
    default_storage.delete(getattr(job, part).name)
    assert refusal(fetch(reader, job, part)) == (410, 410)


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("image/jpeg", "photo-cutout.jpg", "image/jpeg"),
        ("text/html", "photo-cutout.png", "application/octet-stream"),
    ],
)
def test_a_result_is_of_the_type_that_it_came_as(
    committed_world: World, reader: Program, server: Server, kind: str, name: str, told: str
) -> None:
    job = done(committed_world, server, wire.answer(kind=kind))
    answer = fetch(reader, job, "result")
    assert (answer.headers["Content-Type"], answer.content) == (told, wire.CUT_OUT)
    assert name in answer.headers["Content-Disposition"]
    listed = reader.http.get(f"/api/jobs/{job.pk}").json()["result"]
    assert (listed["name"], listed["content_type"]) == (name, told)


def test_a_name_in_another_script_arrives(reader: Program, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(name='été "2".png')
    disposition = fetch(reader, job, "source").headers["Content-Disposition"]
    assert disposition.endswith("filename*=utf-8''%C3%A9t%C3%A9%20%222%22.png")


def test_a_page_of_another_origin_can_ask_whether_it_has_them(reader: Program, job: Job) -> None:
    exposed = fetch(reader, job, "result").headers["Access-Control-Expose-Headers"]
    assert {"ETag", "Content-Disposition"} <= set(exposed.split(", "))
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}
    allowed = reader.http.options(f"/api/jobs/{job.pk}/result", headers=asks)
    assert "If-None-Match" in allowed.headers["Access-Control-Allow-Headers"].split(", ")
