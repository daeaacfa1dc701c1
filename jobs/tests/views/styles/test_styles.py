"""A picture in a style, live and to take away, and a batch restyled: who may, and what is said."""

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.core.files.storage import default_storage
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from PIL import Image

from conftest import World
from jobs.batches.create import open_batch
from jobs.models import Batch, Job, Preset, Recipe, Rendition
from jobs.renditions.decode_limit import DecodeLimit
from jobs.renditions.style import Style
from jobs.tests.renditions.test_effects import backdrop
from jobs.tests.renditions.test_render import done
from jobs.tests.renditions.test_wanted import batch_of
from jobs.tests.upstream import Server

SCRIPT = {"HX-Request": "true"}
WHITE = {"format": "jpeg", "crop": True, "size": "90 60"}


def address(world: World, name: str, job: Job, style: Any = None, **query: str) -> str:
    query = query if style is None else query | {"style": json.dumps(style)}
    return f"{reverse(name, args=[world.team.slug, job.pk])}?{urlencode(query)}"


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 200), ("vera", 200), ("charlie", 404)])
def test_a_member_sees_a_picture_in_a_style(
    world: World, client: Client, server: Server, who: str, status: int
) -> None:
    job = done(world, server)
    client.force_login(getattr(world, who))
    response = client.get(address(world, "styled", job, WHITE))
    assert response.status_code == status
    if status == 200:
        image = Image.open(io.BytesIO(response.content))
        assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (90, 60))
        assert "immutable" in response.headers["Cache-Control"]
    assert not Rendition.objects.exists()  # a preview is no file


def test_a_tile_is_small(world: World, client: Client, server: Server) -> None:
    client.force_login(world.vera)
    style = {"size": "1000 500"}
    response = client.get(address(world, "styled", done(world, server), style, size="tile"))
    assert max(Image.open(io.BytesIO(response.content)).size) <= 320


def test_a_picture_is_taken_away_in_a_style(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    client.force_login(world.vera)
    response = client.get(address(world, "styled_download", job, WHITE))
    assert response.headers["Content-Type"] == "image/jpeg"
    assert 'filename="photo-cutout.jpg"' in response.headers["Content-Disposition"]
    assert Image.open(io.BytesIO(body(response))).size == (90, 60)
    assert body(client.get(address(world, "styled_download", job, WHITE)))
    assert Rendition.objects.count() == 1


@pytest.mark.parametrize("name", ["styled", "styled_download"])
@pytest.mark.parametrize(
    ("style", "status", "text"),
    [
        ({"format": "gif"}, 400, "isn't possible for “Format”"),
        ([], 400, "can't be read"),
        ({"margin": "9000px"}, 422, "too large"),
        ({"margin": "0 32735px", "format": "jpeg"}, 422, "too large"),
        ({"margin": "0 9000px", "format": "webp"}, 422, "too large"),
        ({"size": "70000 100", "format": "jpeg"}, 400, "at most 65500 pixels"),
        ({"background": "picture", "backdrop": "0" * 64}, 422, "was deleted"),
    ],
)
def test_what_cannot_be_shown_says_why(
    world: World, client: Client, server: Server, name: str, style: Any, status: int, text: str
) -> None:
    client.force_login(world.vera)
    response = client.get(address(world, name, done(world, server), style))
    assert response.status_code == status
    assert text in response.content.decode()
    assert response.headers["Content-Type"].startswith("text/plain")


def test_a_picture_whose_file_cannot_be_read_says_so(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    path = Path(job.result.path)
    path.unlink()
    path.mkdir()
    client.force_login(world.vera)
    response = client.get(address(world, "styled_download", job, WHITE))
    assert (response.status_code, "damaged" in response.content.decode()) == (422, True)


def test_a_picture_that_is_not_cut_out_has_no_style(world: World, client: Client) -> None:
    client.force_login(world.vera)
    assert client.get(address(world, "styled", world.job(), {})).status_code == 404


def test_a_busy_machine_says_when_to_come_back(
    world: World, client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(world, server)
    client.force_login(world.vera)
    room = DecodeLimit(total=10, share=10, wait=0)
    monkeypatch.setattr("jobs.renditions.previews.DECODING", room)
    with room.reserve(job.team_id, 10):
        response = client.get(address(world, "styled", job, {}))
    assert response.status_code == 503
    assert response.headers["Retry-After"]


def test_a_full_disk_is_said(
    world: World, client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(world, server)
    client.force_login(world.vera)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.renditions.stored.record", full)
    response = client.get(address(world, "styled_download", job, {}))
    assert response.status_code == 507
    assert "disk is full" in response.content.decode()


# The picture's page


def test_the_page_has_every_control_and_its_presets(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    Preset.objects.create(team=world.team, name="Shop white", style=WHITE, created_by=world.alice)
    client.force_login(world.bob)
    page = client.get(job.get_absolute_url()).content.decode()
    for name in ("background", "color", "blur", "shadow", "strength", "crop", "margin", "width", "height"):
        assert f'name="{name}"' in page
    for text in ("Shop white", "Download in this style", "Save as preset", "0 credits", 'name="quality"'):
        assert text in page


def test_without_scripts_the_form_shows_the_style(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    client.force_login(world.vera)
    form = {"background": "color", "color": "#102030", "width": "80", "height": "", "format": "jpeg"}
    page = client.get(job.get_absolute_url(), form).content.decode()
    meant = Style.parse({"background": "color", "color": "#102030", "size": "80 80", "format": "jpeg"})
    assert f"styled.webp?{urlencode({'style': meant.json()})}".replace("+", "%20") in page
    assert re.search(r'value="color"[^>]* checked', page)
    assert "Save as preset" not in page  # a viewer only looks


def test_a_bad_value_is_said_and_kept(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    client.force_login(world.vera)
    page = client.get(job.get_absolute_url(), {"margin": "wide"}).content.decode()
    assert "“wide” isn&#x27;t possible" in page
    assert 'value="wide"' in page


def test_a_picture_that_failed_has_no_style(world: World, client: Client) -> None:
    client.force_login(world.vera)
    assert "Download in this style" not in client.get(world.job().get_absolute_url()).content.decode()


# A batch


def outputs(client: Client, world: World, batch: Any, **form: Any) -> Any:
    headers = form.pop("headers", None)
    return client.post(reverse("batch_outputs", args=[world.team.slug, batch.pk]), form, headers=headers)


@pytest.fixture
def preset(world: World) -> Preset:
    return Preset.objects.create(team=world.team, name="White", style=WHITE, created_by=world.alice)


def test_a_preset_is_applied_to_a_batch(world: World, client: Client, server: Server, preset: Preset) -> None:
    batch = batch_of(world, server)
    client.force_login(world.bob)
    response = outputs(client, world, batch, preset=preset.pk)
    assert response.headers["Location"] == batch.get_absolute_url()
    assert "2 files are being made, for 0 credits" in told(response)
    batch.refresh_from_db()
    assert batch.outputs == [{"name": "White", "style": Style.parse(WHITE).canonical()}]
    assert Rendition.objects.filter(state="wanted").count() == 2


def test_a_recipe_makes_a_file_for_each_preset(
    world: World, client: Client, server: Server, preset: Preset
) -> None:
    batch = batch_of(world, server)
    recipe = Recipe.objects.create(team=world.team, name="Shops", created_by=world.alice)
    web = Preset.objects.create(team=world.team, name="Web", style={"format": "webp"}, created_by=world.alice)
    recipe.presets.set([web, preset])
    client.force_login(world.bob)
    assert outputs(client, world, batch, recipe=recipe.pk, headers=SCRIPT).status_code == 204
    batch.refresh_from_db()
    assert [output["name"] for output in batch.outputs] == ["Web", "White"]
    assert Rendition.objects.count() == 4


@pytest.mark.parametrize(
    ("form", "style"),
    [
        ({"style": '{"shadow":"soft"}'}, {"shadow": "soft"}),
        ({"style": "{}"}, {}),
        (
            {"background": "none", "shadow": "contact", "strength": "50", "format": "png"},
            {"shadow": "contact"},
        ),
    ],
)
def test_a_style_of_ones_own_is_applied(
    world: World, client: Client, server: Server, form: dict[str, str], style: dict[str, str]
) -> None:
    batch = batch_of(world, server, done=1)
    client.force_login(world.bob)
    assert outputs(client, world, batch, **form).status_code == 302
    batch.refresh_from_db()
    assert batch.outputs == [{"name": "", "style": style}]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"style": "{"}, "can't be read"),
        ({"preset": "10000"}, "valid"),
        ({"recipe": "x"}, "valid"),
        ({"margin": "wide"}, "isn't possible"),
        ({"background": "picture"}, "Choose a background picture"),
    ],
)
def test_what_cannot_be_applied_changes_nothing(
    world: World, client: Client, server: Server, form: dict[str, str], text: str
) -> None:
    batch = batch_of(world, server, done=1)
    client.force_login(world.bob)
    response = outputs(client, world, batch, **form, headers=SCRIPT)
    assert response.status_code == 400
    assert text in response.content.decode()
    assert text in told(outputs(client, world, batch, **form))
    batch.refresh_from_db()
    assert batch.outputs == []


def test_another_teams_preset_is_none(world: World, client: Client, server: Server, preset: Preset) -> None:
    batch = batch_of(world, server, done=1)
    Preset.objects.update(team=world.charlie.memberships.get().team)
    client.force_login(world.bob)
    assert outputs(client, world, batch, preset=preset.pk, headers=SCRIPT).status_code == 400


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("charlie", 404)])
def test_who_may_not_restyle(
    world: World, client: Client, server: Server, preset: Preset, who: str, status: int
) -> None:
    batch = batch_of(world, server, done=1)
    client.force_login(getattr(world, who))
    assert outputs(client, world, batch, preset=preset.pk).status_code == status
    assert not Rendition.objects.exists()


def test_a_batch_that_is_not_there(world: World, client: Client) -> None:
    client.force_login(world.bob)
    assert client.post(reverse("batch_outputs", args=[world.team.slug, uuid4()])).status_code == 404


def test_a_lost_master_is_said(world: World, client: Client, server: Server) -> None:
    job = done(world, server)
    default_storage.delete(str(job.result))
    client.force_login(world.vera)
    response = client.get(address(world, "styled", job, {}))
    assert response.status_code == 422
    assert "damaged or missing" in response.content.decode()


def test_a_style_may_name_a_picture_of_the_team(world: World, client: Client, server: Server) -> None:
    style = {"background": "picture", "backdrop": backdrop(world).sha256}
    client.force_login(world.vera)
    assert client.get(address(world, "styled", done(world, server), style)).status_code == 200


# The dialog that the batch's page includes


def dialog(world: World, batch: Batch) -> str:
    return render_to_string("jobs/_restyle.html", {"team": world.team, "batch": batch})


def test_the_dialog_shows_every_preset_on_the_first_picture(
    world: World, server: Server, preset: Preset
) -> None:
    batch = batch_of(world, server, done=2, waiting=1)
    recipe = Recipe.objects.create(team=world.team, name="Shops", created_by=world.alice)
    recipe.presets.add(preset)
    text = dialog(world, batch)
    first = batch.jobs.earliest("pk")
    assert "2 pictures are cut out and get their new files for 0 credits." in text
    assert f"/jobs/{first.pk}/styled.webp?size=tile" in text
    for pressed in (f'name="preset" value="{preset.pk}"', f'name="recipe" value="{recipe.pk}"'):
        assert pressed in text
    assert text.count(reverse("batch_outputs", args=[world.team.slug, batch.pk])) == 2
    assert 'id="restyle_background_0"' in text


def test_the_dialog_of_a_batch_without_a_cut_out_has_no_pictures(world: World, preset: Preset) -> None:
    batch = open_batch(world.team, world.bob, uuid4())
    text = dialog(world, batch)
    assert "<img" not in text
    assert "White" in text


def test_the_plain_cut_out_is_one_of_the_choices(world: World, client: Client, server: Server) -> None:
    batch = batch_of(world, server, done=1)
    client.force_login(world.bob)
    outputs(client, world, batch, style="{}")
    batch.refresh_from_db()
    assert batch.outputs == [{"name": "", "style": {}}]
