"""Renditions: made from the master at 0 credits, once for each style, and whatever crashes meanwhile."""

import hashlib
import io
import zlib
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from conftest import World
from jobs.models import Job, Rendition
from jobs.renditions import render, stored
from jobs.renditions.render import RenditionError, cached, make
from jobs.renditions.style import PLAIN, Style
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian.imaging import delta_png

SIZE = 60, 40


def photo(width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """A picture with a colour of its own at each pixel."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.dstack((across * 4, down * 6, across + down)).astype(np.uint8))


def cut(image: Image.Image) -> Image.Image:
    """Return the middle of a picture, on nothing."""
    width, height = image.size
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    image = image.convert("RGBA")
    image.putalpha(alpha)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def done(world: World, server: Server, source: bytes | None = None, result: bytes | None = None) -> Job:
    """Return a job whose master is a delta PNG, as every browser's is; or an ordinary picture, if given."""
    source = source or encoded(photo())
    job = world.job(source)
    if result is None:
        image = Image.open(io.BytesIO(source)).convert("RGB")
        result = delta_png.encode(np.array(image), np.array(cut(image)))
        job.options = {"output.format": "delta_png"}
        job.save()
    server.script.append(wire.answer(result))
    return run(server)[0]


def pixels(row: Rendition) -> Image.Image:
    with row.file.open() as file:
        image = Image.open(io.BytesIO(file.read()))
    image.load()
    return image


def visible(image: Image.Image) -> Any:
    """Return the pixels, black where they are transparent."""
    array = np.array(image.convert("RGBA"))
    return array * (array[..., 3:] > 0)


@pytest.mark.both_databases
def test_the_plain_style_is_the_cut_out_that_was_paid_for(world: World, server: Server) -> None:
    job = done(world, server)
    row = make(job, PLAIN)
    np.testing.assert_array_equal(visible(pixels(row)), visible(cut(photo())))
    with row.file.open() as file:
        content = file.read()
    assert (row.state, row.content_type, (row.width, row.height)) == ("made", "image/png", SIZE)
    assert (row.bytes, row.crc32) == (len(content), zlib.crc32(content))
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert row.file.name == f"{str(job.source.name).rpartition('/')[0]}/rendition-{PLAIN.sha256[:16]}.png"


def test_an_ordinary_master_does_as_well(world: World, server: Server) -> None:
    job = done(world, server, result=encoded(cut(photo())))
    np.testing.assert_array_equal(visible(pixels(make(job, PLAIN))), visible(cut(photo())))


def test_it_costs_nothing_and_is_made_once(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(world, server)
    first = make(job, PLAIN)
    monkeypatch.setattr(render, "_render", None)
    assert make(job, PLAIN) == first
    assert Rendition.objects.count() == server.calls == 1


def test_those_that_are_made_are_found_in_one_query(
    world: World, server: Server, django_assert_num_queries: Any
) -> None:
    job, other = done(world, server), done(world, server)
    row = make(job, PLAIN)
    Rendition.objects.create(job=other, style_sha256=PLAIN.sha256)
    with django_assert_num_queries(1):
        assert cached([job.pk, other.pk], PLAIN) == {job.pk: row}


def test_one_that_waits_becomes_the_one_that_is_made(world: World, server: Server) -> None:
    job = done(world, server)
    Rendition.objects.create(job=job, style_sha256=PLAIN.sha256, problem="before")
    row = make(job, PLAIN)
    assert (row.state, row.problem, Rendition.objects.count()) == ("made", "", 1)


def test_a_deleted_file_is_made_again(world: World, server: Server) -> None:
    job = done(world, server)
    row = make(job, PLAIN)
    with row.file.open() as file:
        content = file.read()
    default_storage.delete(str(row.file))
    again = make(job, PLAIN)
    with again.file.open() as file:
        assert file.read() == content
    assert again.pk == row.pk


def test_the_file_that_a_crash_left_before_its_row_is_taken(world: World, server: Server) -> None:
    job = done(world, server)
    first = make(job, PLAIN)
    Rendition.objects.all().delete()
    assert make(job, PLAIN).file.name == first.file.name
    _, names = default_storage.listdir(str(first.file).rpartition("/")[0])
    assert len([name for name in names if name.startswith("rendition")]) == 1


def test_another_file_under_its_name_is_not_taken_for_it(world: World, server: Server) -> None:
    job = done(world, server)
    name = stored.file_name(job, PLAIN)
    default_storage.save(name, ContentFile(b"half a pict"))
    row = make(job, PLAIN)
    assert row.file.name != name
    np.testing.assert_array_equal(visible(pixels(row)), visible(cut(photo())))


def test_a_picture_that_was_cut_out_before_shares_the_file(world: World, server: Server) -> None:
    job = done(world, server)
    first = make(job, PLAIN)
    shown = Job.objects.get(pk=job.pk)
    shown.pk, shown.request_id, shown.reused_from = None, "00000000-0000-4000-8000-000000000001", job
    shown.options = {}
    shown.save()
    row = make(shown, PLAIN)
    assert (row.file, row.sha256) == (first.file, first.sha256)
    assert row.pk != first.pk


def test_without_a_cut_out_there_is_nothing_to_style(world: World) -> None:
    with pytest.raises(RenditionError, match="isn't cut out yet"):
        make(world.job(), PLAIN)


@pytest.mark.parametrize("field", ["source", "result"])
def test_a_lost_file_is_said(world: World, server: Server, field: str) -> None:
    job = done(world, server)
    default_storage.delete(getattr(job, field).name)
    with pytest.raises(RenditionError, match="damaged or missing"):
        make(job, Style())
