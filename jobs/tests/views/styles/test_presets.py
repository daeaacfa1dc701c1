"""A team's presets, recipes and background pictures: made, locked, copied and deleted by whom they may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from accounts.models import Membership, Role, User
from conftest import World, small_png
from jobs.models import Backdrop, Preset, Recipe
from jobs.renditions import presets
from jobs.renditions.marketplaces import EXAMPLES
from jobs.renditions.presets import NameTakenError
from jobs.renditions.style import PLAIN, Style
from jobs.tests.intake.heif import avif, heic
from jobs.tests.renditions.test_effects import backdrop
from jobs.tests.renditions.test_render import done
from jobs.tests.upstream import Server
from pixian.protocol.margin import Length

FORM = {
    "name": "White",
    "background": "color",
    "color": "#ffffff",
    "crop": "on",
    "margin": "5%",
    "width": "900",
}
WHITE = {"background": "color", "crop": True, "margin": "5%", "size": "900 900"}


def page(world: World, name: str, *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def manager(world: World) -> User:
    user = User.objects.create_user("mia@example.org")
    Membership.objects.create(team=world.team, user=user, role=Role.MANAGER)
    return user


def made(world: World, **columns: Any) -> Preset:
    columns = {"name": "White", "style": WHITE} | columns
    return Preset.objects.create(team=world.team, created_by=world.alice, **columns)


def test_a_member_makes_a_preset(world: World, client: Client) -> None:
    client.force_login(world.bob)
    assert client.get(page(world, "new_preset")).status_code == 200
    response = client.post(page(world, "new_preset"), FORM)
    assert response.headers["Location"] == page(world, "presets")
    preset = Preset.objects.get()
    assert (preset.name, preset.style, preset.locked, preset.created_by) == ("White", WHITE, False, world.bob)
    assert "White" in client.get(page(world, "presets")).content.decode()


def test_a_new_one_begins_with_the_style_of_the_address(world: World, client: Client) -> None:
    client.force_login(world.bob)
    response = client.get(page(world, "new_preset"), {"style": '{"margin":"7%","shadow":"soft"}'})
    assert 'value="7%"' in response.content.decode()
    assert client.get(page(world, "new_preset"), {"style": "["}).status_code == 200


def test_a_preset_is_changed_and_deleted(world: World, client: Client) -> None:
    preset = made(world)
    client.force_login(world.bob)
    assert 'value="900"' in client.get(page(world, "preset", preset.pk)).content.decode()
    client.post(page(world, "preset", preset.pk), FORM | {"name": "Whiter", "width": ""})
    preset.refresh_from_db()
    assert (preset.name, "size" in preset.style) == ("Whiter", False)
    response = client.post(page(world, "delete_preset", preset.pk))
    assert "Whiter is deleted" in told(response)
    assert not Preset.objects.exists()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"name": ""}, "required"),
        ({"name": "Taken"}, "of this name already"),
        ({"margin": "60%"}, "leaves no room"),
        ({"background": "picture"}, "Choose a background picture"),
        ({"width": "25001", "height": "1000"}, "more than 25 megapixels"),
        ({"width": "70000", "height": "100", "format": "jpeg"}, "A JPEG has at most 65500 pixels a side"),
        ({"shadow": "long"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_kept(
    world: World, client: Client, form: dict[str, str], text: str
) -> None:
    made(world, name="Taken")
    client.force_login(world.bob)
    response = client.post(page(world, "new_preset"), FORM | form)
    assert response.status_code == 200
    assert text in response.content.decode()
    assert Preset.objects.count() == 1


def test_two_people_who_save_one_name_at_once(world: World) -> None:
    made(world)
    with pytest.raises(NameTakenError):
        presets.save_preset(Preset(team=world.team, created_by=world.bob), "White", PLAIN, locked=False)
    assert Preset.objects.count() == 1


@pytest.mark.parametrize("name", ["preset", "delete_preset"])
def test_a_locked_preset_is_the_managers(world: World, client: Client, manager: User, name: str) -> None:
    preset = made(world, locked=True)
    for user in (world.bob, world.vera):
        client.force_login(user)
        response = client.post(page(world, name, preset.pk), FORM | {"name": "Mine"})
        assert response.status_code == 403
        preset.refresh_from_db()
        assert preset.name == "White"
    client.force_login(manager)
    assert client.post(page(world, name, preset.pk), FORM | {"name": "Mine"}).status_code == 302


def test_only_a_manager_locks(world: World, client: Client, manager: User) -> None:
    preset = made(world)
    client.force_login(world.bob)
    assert 'name="locked"' not in client.get(page(world, "preset", preset.pk)).content.decode()
    client.post(page(world, "preset", preset.pk), FORM | {"locked": "on"})
    preset.refresh_from_db()
    assert not preset.locked
    client.force_login(manager)
    client.post(page(world, "preset", preset.pk), FORM | {"locked": "on"})
    preset.refresh_from_db()
    assert preset.locked


def test_a_preset_that_is_not_valid_any_more_can_be_mended(world: World, client: Client) -> None:
    preset = made(world, style={"colour": "red"})
    client.force_login(world.bob)
    text = client.get(page(world, "presets")).content.decode()
    assert "isn’t valid any more" in text
    client.post(page(world, "preset", preset.pk), FORM)
    preset.refresh_from_db()
    assert preset.style == WHITE


def test_the_page_shows_presets_on_the_teams_latest_cut_out(
    world: World, client: Client, server: Server
) -> None:
    made(world)
    job = done(world, server)
    client.force_login(world.vera)
    text = client.get(page(world, "presets")).content.decode()
    assert f"/jobs/{job.pk}/styled.webp?size=tile&amp;style=%7B%22background%22" in text
    for missing in ("New preset", "Copy to presets", "Delete"):
        assert missing not in text  # a viewer only looks


# Recipes


def test_a_recipe_is_made_changed_and_deleted(world: World, client: Client) -> None:
    white, web = made(world), made(world, name="Web", style={"format": "webp"})
    client.force_login(world.bob)
    client.post(page(world, "new_recipe"), {"name": "Shops", "presets": [white.pk, web.pk]})
    recipe = Recipe.objects.get()
    assert {preset.name for preset in recipe.presets.all()} == {"White", "Web"}
    assert "Web, White" in client.get(page(world, "presets")).content.decode()
    assert client.get(page(world, "recipe", recipe.pk)).content.decode().count("checked") == 2
    client.post(page(world, "recipe", recipe.pk), {"name": "Shops", "presets": [web.pk]})
    assert [preset.name for preset in recipe.presets.all()] == ["Web"]
    client.post(page(world, "delete_recipe", recipe.pk))
    assert (Recipe.objects.count(), Preset.objects.count()) == (0, 2)


@pytest.mark.parametrize(
    "form", [{"name": "Shops"}, {"name": "Taken", "presets": ["1"]}, {"presets": ["999"]}]
)
def test_a_recipe_that_cannot_be(world: World, client: Client, form: dict[str, Any]) -> None:
    Recipe.objects.create(team=world.team, name="Taken", created_by=world.alice)
    client.force_login(world.bob)
    assert client.post(page(world, "new_recipe"), form).status_code == 200
    assert Recipe.objects.count() == 1


def test_another_teams_presets_are_in_no_recipe(world: World, client: Client) -> None:
    foreign = made(world)
    Preset.objects.update(team=world.charlie.memberships.get().team)
    client.force_login(world.bob)
    client.post(page(world, "new_recipe"), {"name": "Shops", "presets": [foreign.pk]})
    assert not Recipe.objects.exists()


@pytest.mark.parametrize("name", ["recipe", "delete_recipe"])
def test_a_locked_recipe_is_the_managers(world: World, client: Client, manager: User, name: str) -> None:
    preset = made(world)
    recipe = Recipe.objects.create(team=world.team, name="Shops", locked=True, created_by=world.bob)
    form = {"name": "Mine", "presets": [preset.pk]}
    client.force_login(world.bob)
    assert client.post(page(world, name, recipe.pk), form).status_code == 403
    client.force_login(manager)
    assert client.post(page(world, name, recipe.pk), form).status_code == 302


# Background pictures


def add(client: Client, world: World, content: bytes, name: str = "wall.png") -> Any:
    return client.post(page(world, "add_backdrop"), {"image": SimpleUploadedFile(name, content)})


def transparent_avif(image: Image.Image) -> bytes:
    image.putalpha(90)
    return avif(image)


def test_a_background_picture_is_added_shown_and_deleted(world: World, client: Client) -> None:
    client.force_login(world.bob)
    assert "wall.png can be a background now" in told(add(client, world, small_png(800, 500)))
    kept = Backdrop.objects.get()
    assert (kept.name, kept.width, kept.height, kept.added_by) == ("wall.png", 800, 500, world.bob)
    assert client.get(page(world, "backdrop", kept.pk)).headers["Content-Type"] == "image/webp"
    assert "800 × 500" in client.get(page(world, "presets")).content.decode()
    assert kept.sha256 in client.get(page(world, "new_preset")).content.decode()
    assert "is deleted" in told(client.post(page(world, "delete_backdrop", kept.pk)))
    assert not default_storage.exists(str(kept.file))


@pytest.mark.parametrize(("encode", "kind"), [(heic, "jpeg"), (avif, "jpeg"), (transparent_avif, "png")])
def test_a_phones_picture_becomes_a_background(
    world: World, client: Client, encode: Callable[[Image.Image], bytes], kind: str
) -> None:
    client.force_login(world.bob)
    picture = encode(Image.new("RGB", (80, 50), "teal"))
    assert "can be a background now" in told(add(client, world, picture, "wall.heic"))
    assert "can be a background now" in told(add(client, world, picture, "again.heic"))
    kept = Backdrop.objects.get()
    assert (kept.name, kept.width, kept.height) == ("wall.heic", 80, 50)
    assert str(kept.file).endswith(f".{kind}")
    assert client.get(page(world, "backdrop", kept.pk)).status_code == 200


def test_the_same_picture_twice_is_one(world: World, client: Client) -> None:
    client.force_login(world.bob)
    add(client, world, small_png(30, 20), "one.png")
    add(client, world, small_png(30, 20), "two.png")
    assert Backdrop.objects.get().name == "one.png"
    assert len(default_storage.listdir(f"{world.team.slug}/backdrops")[1]) == 1


@pytest.mark.parametrize(
    ("content", "text"), [(b"no picture", "isn't a picture"), (b"", "empty"), (None, "Choose a picture")]
)
def test_what_is_no_picture_is_refused(
    world: World, client: Client, content: bytes | None, text: str
) -> None:
    client.force_login(world.bob)
    response = client.post(page(world, "add_backdrop")) if content is None else add(client, world, content)
    assert text in told(response)
    assert not Backdrop.objects.exists()


def test_who_added_a_picture_and_managers_delete_it(world: World, client: Client, manager: User) -> None:
    wall = backdrop(world)  # alice's
    client.force_login(world.bob)
    assert client.post(page(world, "delete_backdrop", wall.pk)).status_code == 403
    client.force_login(manager)
    assert client.post(page(world, "delete_backdrop", wall.pk)).status_code == 302


def test_a_preset_names_a_deleted_picture_and_says_so(world: World, client: Client) -> None:
    preset = made(world, style={"background": "picture", "backdrop": "ab" * 32})
    client.force_login(world.bob)
    assert "A picture that was deleted" in client.get(page(world, "preset", preset.pk)).content.decode()


# Marketplaces


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_an_example_is_copied_with_one_press(world: World, client: Client, example: Any) -> None:
    client.force_login(world.bob)
    text = client.get(page(world, "presets")).content.decode()
    assert example.source in text.replace("&amp;", "&")
    assert example.name in told(client.post(page(world, "copy_example", example.key)))
    assert Style.parse(Preset.objects.get().style) == example.style
    assert "already" in told(client.post(page(world, "copy_example", example.key)))
    assert Preset.objects.count() == 1


def test_an_example_that_is_not_there(world: World, client: Client) -> None:
    client.force_login(world.bob)
    assert client.post(page(world, "copy_example", "nobody")).status_code == 404


def test_examples_are_white_jpegs_with_room_for_the_product() -> None:
    for example in EXAMPLES:
        style = example.style
        assert (style.fill, style.format, style.crop) == ((255, 255, 255), "jpeg", True), example.key
        assert style.margin.left == style.margin.top != Length(), example.key
        assert style.size, example.key
        assert example.source.startswith("https://"), example.key


def test_amazons_product_fills_85_percent() -> None:
    style = next(example.style for example in EXAMPLES if example.key == "amazon")
    assert style.size
    edges = style.margin.edges(*style.size)
    assert (style.size[0] - edges.across) / style.size[0] >= 0.85
    assert max(style.size) >= 1000
