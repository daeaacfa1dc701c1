"""The bytes of pictures: only for the team, never changed, and under a name that does no harm."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.files.storage import default_storage
from django.http import FileResponse
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django import Settings

from conftest import World, small_png
from jobs.models import Job
from jobs.renditions import previews
from jobs.storage import files
from jobs.tests import upstream as wire
from jobs.tests.batches.boxes import batch_of
from jobs.tests.storage.disks import full
from jobs.tests.upstream import Server, run

CUTOUT = io.BytesIO()
Image.new("RGBA", (1000, 1000), (90, 140, 60, 120)).save(CUTOUT, "PNG")
SHOWN = [(side, size) for side in ("before", "after") for size in ("tile", "page")]


@pytest.fixture
def done(world: World, server: Server) -> Job:
    """Return a job whose result is kept as it came: of a very large picture, or of a program."""
    job = world.job()
    Job.objects.filter(pk=job.pk).update(options={})
    server.script.append(wire.answer(CUTOUT.getvalue()))
    return run(server)[0]


@pytest.fixture
def bob(world: World, client: Client) -> Client:
    client.force_login(world.bob)
    return client


def addresses(slug: str, pk: int) -> list[str]:
    small = [reverse("shown", args=[slug, pk, side, size]) for side, size in SHOWN]
    return [reverse("download", args=[slug, pk]), *small]


def body(response: Any) -> bytes:
    assert isinstance(response, FileResponse)
    return b"".join(response)


def saved_as(world: World, client: Client, job: Job, name: str) -> str:
    """Return the header of a download whose picture was uploaded under this name."""
    Job.objects.filter(pk=job.pk).update(name=name)
    response = client.get(reverse("download", args=[world.team.slug, job.pk]))
    assert response.status_code == 200
    assert body(response)
    return str(response.headers["Content-Disposition"])


def test_the_cut_out_is_downloaded_as_it_came(world: World, bob: Client, done: Job) -> None:
    response = bob.get(reverse("download", args=[world.team.slug, done.pk]))
    assert response.status_code == 200
    assert body(response) == CUTOUT.getvalue()
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Disposition"] == 'attachment; filename="photo-cutout.png"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert int(response.headers["Content-Length"]) == len(CUTOUT.getvalue())


def test_people_get_a_plain_png_of_what_is_kept_as_a_delta(world: World, bob: Client, server: Server) -> None:
    job = batch_of(world, server, ["shoe.jpg"]).jobs.get()
    response = bob.get(reverse("download", args=[world.team.slug, job.pk]))
    assert response.headers["Content-Disposition"] == 'attachment; filename="shoe-cutout.png"'
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    image = Image.open(io.BytesIO(body(response)))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (40, 30))
    page = bob.get(job.get_absolute_url()).content.decode()
    assert "A transparent PNG in full size." in page
    assert "as the program asked for" not in page


def test_a_full_disk_is_said_to_whoever_downloads(
    world: World, bob: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = batch_of(world, server, ["shoe.jpg"]).jobs.get()
    monkeypatch.setattr(files, "put", full)
    response = bob.get(reverse("download", args=[world.team.slug, job.pk]))
    assert (response.status_code, "disk is full" in response.content.decode()) == (507, True)


@pytest.mark.parametrize("which", ["source", "result"])
def test_a_master_that_is_gone_is_not_found(world: World, bob: Client, server: Server, which: str) -> None:
    job = batch_of(world, server, ["shoe.jpg"]).jobs.get()
    default_storage.delete(getattr(job, which).name)
    assert bob.get(reverse("download", args=[world.team.slug, job.pk])).status_code == 404


@pytest.mark.parametrize(("side", "size"), SHOWN)
def test_small_previews_are_shown(world: World, bob: Client, done: Job, side: str, size: str) -> None:
    response = bob.get(reverse("shown", args=[world.team.slug, done.pk, side, size]))
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/webp"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    image = Image.open(io.BytesIO(body(response)))
    assert image.format == "WEBP"
    assert image.size == ((320, 320) if size == "tile" else (1000, 1000))
    assert image.mode == ("RGBA" if side == "after" else "RGB")


def test_what_never_changes_is_kept_by_the_browser_alone(world: World, bob: Client, done: Job) -> None:
    response = bob.get(reverse("shown", args=[world.team.slug, done.pk, "after", "tile"]))
    body(response)
    kept = response.headers["Cache-Control"]
    assert "private" in kept
    assert "immutable" in kept


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 200), ("vera", 200), ("charlie", 404)])
def test_who_gets_them(world: World, client: Client, done: Job, who: str, status: int) -> None:
    client.force_login(getattr(world, who))
    for address in addresses(world.team.slug, done.pk):
        response = client.get(address)
        assert response.status_code == status
        if status == 200:
            assert body(response)


def test_pictures_cannot_be_read_through_another_team(world: World, client: Client, done: Job) -> None:
    client.force_login(world.charlie)
    for address in addresses("outsiders", done.pk):
        assert client.get(address).status_code == 404


def test_strangers_are_sent_to_the_log_in(world: World, client: Client, done: Job) -> None:
    for address in addresses(world.team.slug, done.pk):
        response = client.get(address)
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("account_login"))


def test_files_have_no_address_of_their_own(world: World, bob: Client, done: Job) -> None:
    for name in (done.source.name, done.result.name):
        for prefix in ("/", "/files/", "/media/", "/static/"):
            assert bob.get(prefix + str(name)).status_code == 404


def test_there_is_no_cut_out_before_the_job_is_done(world: World, bob: Client) -> None:
    job = world.job()
    download, *small = addresses(world.team.slug, job.pk)
    assert bob.get(download).status_code == 404
    for address, (side, _) in zip(small, SHOWN, strict=True):
        response = bob.get(address)
        assert response.status_code == (200 if side == "before" else 404)
        if side == "before":
            body(response)


@pytest.mark.parametrize("pk", [0, 999_999, 10**17])
def test_what_is_not_there_is_not_found(world: World, bob: Client, pk: int) -> None:
    for address in addresses(world.team.slug, pk):
        assert bob.get(address).status_code == 404


@pytest.mark.parametrize(
    "tail", ["beside-tile.webp", "before-huge.webp", "before-tile.png", "../1/before-tile.webp"]
)
def test_nothing_else_is_shown(world: World, bob: Client, done: Job, tail: str) -> None:
    assert bob.get(f"/t/{world.team.slug}/jobs/{done.pk}/{tail}").status_code == 404


def test_a_second_look_makes_nothing(
    world: World, bob: Client, done: Job, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    address = reverse("shown", args=[world.team.slug, done.pk, "after", "tile"])
    first = body(bob.get(address))
    files = sorted(Path(settings.MEDIA_ROOT).rglob("*"))
    monkeypatch.setattr(previews, "_encode", None)
    assert body(bob.get(address)) == first
    assert sorted(Path(settings.MEDIA_ROOT).rglob("*")) == files


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("holiday.JPEG", 'attachment; filename="holiday-cutout.png"'),
        ("two.dots.jpg", 'attachment; filename="two.dots-cutout.png"'),
        ("no extension", 'attachment; filename="no extension-cutout.png"'),
        ("", 'attachment; filename="picture-cutout.png"'),
        ('a"; filename="evil.exe', 'attachment; filename="a\\"; filename=\\"evil-cutout.png"'),
        ("back\\slash.jpg", 'attachment; filename="slash-cutout.png"'),
    ],
)
def test_a_download_is_named_after_its_picture(
    world: World, bob: Client, done: Job, name: str, header: str
) -> None:
    assert saved_as(world, bob, done, name) == header


@pytest.mark.parametrize("stem", ["été", "写真", "🐈 chat", 'café; "noir"'])
def test_any_script_is_kept_in_the_name(world: World, bob: Client, done: Job, stem: str) -> None:
    header = saved_as(world, bob, done, f"{stem}.jpg")
    assert header.isascii()
    assert unquote(header.partition("''")[2]) == f"{stem}-cutout.png"


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=1\r\n.jpg", "a\nb.jpg", "a\x00b.jpg", "a\u2028b.jpg"])
def test_a_name_sent_with_line_breaks_stays_one_header(
    world: World, bob: Client, server: Server, name: str
) -> None:
    """Such a name comes in by a raw request, and goes out as a download."""
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    sent = head.encode() + small_png() + b"\r\n--x--\r\n"
    upload = reverse("upload", args=[world.team.slug])
    bob.generic("POST", upload, sent, "multipart/form-data; boundary=x")
    if not Job.objects.exists():
        return  # refused, which is as well
    server.script.append(wire.answer(CUTOUT.getvalue()))
    job, _ = run(server)
    response = bob.get(reverse("download", args=[world.team.slug, job.pk]))
    assert body(response)
    assert "Set-Cookie" not in response.headers
    assert len(response.headers["Content-Disposition"].splitlines()) == 1


def test_a_result_that_is_no_picture_is_not_shown(world: World, bob: Client, server: Server) -> None:
    """The upstream is trusted with the bytes of a download, not with a decoder."""
    world.job()
    server.script.append(wire.answer(wire.CUT_OUT[:50] + files.PNG_END))
    job, _ = run(server)
    assert job.state == "done"
    assert bob.get(reverse("shown", args=[world.team.slug, job.pk, "after", "tile"])).status_code == 404


@pytest.mark.parametrize("which", ["source", "result"])
def test_a_file_that_is_gone_is_not_found(world: World, bob: Client, done: Job, which: str) -> None:
    default_storage.delete(getattr(done, which).name)
    download, *small = addresses(world.team.slug, done.pk)
    gone = [download, *small[2:]] if which == "result" else small[:2]
    for address in gone:
        assert bob.get(address).status_code == 404
