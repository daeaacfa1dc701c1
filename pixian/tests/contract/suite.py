"""Every row of the contract's §§ 1 to 6 that shows over the wire. Names follow its sections."""

import base64
import io
import re
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from pixian.tests.contract.service import PATH, Service, decoded, encoded, error_of

CREDITS = re.compile(r"\d+\.\d{6}")
CORNERS = [(0, 0), (-1, 0), (0, -1), (-1, -1)]


@pytest.fixture
def coffee(photo: Callable[[str], bytes]) -> bytes:
    """600 × 400, a red cup in the middle of a table."""
    return photo("coffee")


def alpha_at(image: Image.Image, x: int, y: int) -> int:
    return image.getchannel("A").tobytes()[(y % image.height) * image.width + x % image.width]


# § 1 Surface ---------------------------------------------------------------------------------------


def test_1_a_picture_comes_back_cut_out(service: Service, coffee: bytes) -> None:
    answer = service.call(coffee)
    assert answer.status_code == 200, answer.text
    image = decoded(answer)
    assert (answer.headers["Content-Type"], image.format, image.mode) == ("image/png", "PNG", "RGBA")
    assert image.size == (600, 400)
    assert [alpha_at(image, *at) for at in CORNERS] == [0, 0, 0, 0]
    assert alpha_at(image, 280, 150) == 255


def test_1_the_account_is_told(service: Service) -> None:
    auth = (service.credentials.api_id, service.credentials.api_secret)
    account = service.http.get("/api/v2/account", auth=auth).json()
    assert isinstance(account["creditPack"], str)
    assert account["state"] in ("active", "dormant")
    assert re.match(r"\d{4}-\d\d-\d\dT", account["useBefore"])
    assert account["credits"] >= 0


def test_1_the_key_itself_goes_after_basic(service: Service, coffee: bytes) -> None:
    headers = {"Authorization": f"Basic {service.credentials.api_key}"}
    answer = service.http.post(PATH, headers=headers, files={"image": coffee})
    assert answer.status_code == 200


def test_1_browsers_on_other_pages_may_call(service: Service, coffee: bytes) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = service.http.options(PATH, headers=asked)
    assert preflight.status_code in (200, 204)
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()

    answer = service.raw(files={"image": coffee}, headers={"Origin": "https://shop.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Credits-Charged" in answer.headers["Access-Control-Expose-Headers"]
    refused = service.http.post(PATH, headers={"Origin": "https://shop.example"})
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


# § 2 Request ---------------------------------------------------------------------------------------


def test_2_sources_arrive_urlencoded_or_multipart(service: Service, coffee: bytes) -> None:
    text = base64.b64encode(coffee).decode()
    assert service.raw(data={"image.base64": text}).status_code == 200
    assert service.call(image_base64=f"data:image/jpeg;base64,{text}").status_code == 200


def test_2_a_url_is_fetched(service: Service, coffee: bytes) -> None:
    service.web.pages["/coffee"] = (200, "image/jpeg", coffee)
    assert service.raw(data={"image.url": f"{service.web.url}/coffee"}).status_code == 200
    assert service.call(image_url=f"{service.web.url}/coffee").status_code == 200


def test_2_the_query_is_read_and_the_body_wins(service: Service, coffee: bytes) -> None:
    answer = service.raw(params={"test": "true"}, files={"image": coffee})
    assert answer.headers["X-Credits-Charged"] == "0.000000"
    answer = service.raw(params={"test": "true"}, data={"test": "false"}, files={"image": coffee})
    assert answer.headers["X-Credits-Charged"] != "0.000000"


def test_2_json_is_not_a_form(service: Service) -> None:
    assert error_of(service.raw(json={"image.url": "https://example.com/a.jpg"})) == (400, 1019)


def test_2_unknown_and_empty_fields_are_ignored(service: Service, coffee: bytes) -> None:
    fields = {"colour": "green", "test": "", "image.url": "", "output.format": ""}
    assert service.raw(data=fields, files={"image": coffee}).status_code == 200


def test_2_max_pixels_shrinks_first(service: Service, coffee: bytes) -> None:
    answer = service.call(coffee, max_pixels="60000")
    width, height = decoded(answer).size
    assert width * height <= 60_000
    assert abs(width / height - 1.5) < 0.02
    assert answer.headers["X-Input-Size"] == "600 400"
    assert answer.headers["X-Result-Size"] == f"{width} {height}"


def test_2_a_colour_fills_and_auto_is_then_jpeg(service: Service, coffee: bytes) -> None:
    answer = service.call(coffee, background_color="#00ff00")
    image = decoded(answer)
    assert (answer.headers["Content-Type"], image.format, image.mode) == ("image/jpeg", "JPEG", "RGB")
    red, green, blue = image.getpixel((2, 2))  # type: ignore[misc]
    assert (red < 12, green > 240, blue < 12) == (True, True, True)


def test_2_a_colour_as_png_is_exact_and_opaque(service: Service, coffee: bytes) -> None:
    image = decoded(service.call(coffee, background_color="#12aBcD", output_format="png"))
    assert image.convert("RGBA").getpixel((0, 0)) == (0x12, 0xAB, 0xCD, 255)


def test_2_a_jpeg_without_a_colour_is_white(service: Service, coffee: bytes) -> None:
    image = decoded(service.call(coffee, output_format="jpeg"))
    assert min(image.getpixel((2, 2))) > 250  # type: ignore[arg-type]


def test_2_jpeg_quality_shows_in_the_bytes(service: Service, coffee: bytes) -> None:
    sizes = [
        len(service.call(coffee, output_format="jpeg", output_jpeg_quality=quality).content)
        for quality in ("20", "75", "95")
    ]
    assert sizes == sorted(sizes)
    default = service.call(coffee, output_format="jpeg").content
    assert abs(len(default) - sizes[1]) < 0.05 * sizes[1]


def test_2_crop_leaves_no_empty_border(service: Service, coffee: bytes) -> None:
    image = decoded(service.call(coffee, result_crop_to_foreground="True"))
    assert image.getchannel("A").getbbox() == (0, 0, *image.size)
    assert image.width < 600


@pytest.mark.parametrize(
    ("margin", "size"),
    [
        ("10px", (620, 420)),
        ("10% 20%", (600 + 240, 400 + 80)),
        ("1px 2px 3px 4px", (606, 404)),
        ("1px 2px 3px", (604, 404)),
        ("0", (600, 400)),
        ("0.5%", (606, 404)),
    ],
)
def test_2_margins_are_added_in_css_order(
    service: Service, coffee: bytes, margin: str, size: tuple[int, int]
) -> None:
    assert decoded(service.call(coffee, result_margin=margin)).size == size


@pytest.mark.parametrize(("alignment", "top"), [("top", 0), ("middle", 100), ("bottom", 200), ("", 100)])
def test_2_a_target_size_is_exact_and_alignment_takes_spare_height(
    service: Service, coffee: bytes, alignment: str, top: int
) -> None:
    image = decoded(
        service.call(
            coffee,
            result_target_size="300 400",
            result_vertical_alignment=alignment,
            result_crop_to_foreground="false",
        )
    )
    assert image.size == (300, 400)
    box = image.getchannel("A").getbbox()
    assert box is not None
    plain = decoded(service.call(coffee)).getchannel("A").getbbox()
    assert plain is not None
    assert abs(box[1] - (top + plain[1] / 2)) <= 2


def test_2_animations_give_their_first_frame(service: Service, coffee: bytes) -> None:
    first = Image.open(io.BytesIO(coffee)).convert("P")
    gif = encoded(first, "GIF", save_all=True, append_images=[first.rotate(180)] * 3)
    assert decoded(service.call(gif)).size == (600, 400)


def test_2_input_alpha_multiplies_the_matte(service: Service, coffee: bytes) -> None:
    image = Image.open(io.BytesIO(coffee)).convert("RGBA")
    image.putalpha(128)
    cut_out = decoded(service.call(encoded(image, "PNG")))
    assert abs(alpha_at(cut_out, 280, 150) - 128) <= 1
    # Its colours are straight: nothing of a background is mixed into them.
    assert cut_out.getpixel((280, 150))[:3] == image.getpixel((280, 150))[:3]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_2_every_format_is_read(service: Service, coffee: bytes, kind: str, mode: str) -> None:
    if (kind, mode) in {("JPEG", "P"), ("JPEG", "1"), ("WEBP", "P"), ("WEBP", "1")}:
        mode = "RGB"
    picture = encoded(Image.open(io.BytesIO(coffee)).convert(mode), kind)
    assert decoded(service.call(picture)).size == (600, 400)


# § 3 Answer ----------------------------------------------------------------------------------------


def test_3_headers_of_a_result(service: Service, coffee: bytes) -> None:
    headers = service.call(coffee).headers
    assert CREDITS.fullmatch(headers["X-Credits-Charged"])
    assert "X-Credits-Calculated" not in headers
    assert headers["X-Input-Size"] == headers["X-Result-Size"] == "600 400"
    assert headers["X-Input-Orientation"] == "1"


def test_3_a_test_is_free_and_says_what_it_would_cost(service: Service, coffee: bytes) -> None:
    headers = service.call(coffee, test="True").headers
    assert headers["X-Credits-Charged"] == "0.000000"
    assert headers["X-Credits-Calculated"] == service.call(coffee).headers["X-Credits-Charged"]


def test_3_a_test_carries_a_watermark(service: Service, coffee: bytes) -> None:
    assert decoded(service.call(coffee, test="true")).tobytes() != decoded(service.call(coffee)).tobytes()


def test_3_the_orientation_is_applied_and_told(service: Service, coffee: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.open(io.BytesIO(coffee)), "JPEG", exif=exif)
    answer = service.call(turned)
    assert decoded(answer).size == (400, 600)
    assert answer.headers["X-Input-Orientation"] == "6"
    assert answer.headers["X-Input-Size"] == "400 600"


def test_3_no_metadata_comes_back(service: Service, coffee: bytes) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    picture = encoded(Image.open(io.BytesIO(coffee)), "JPEG", exif=exif, comment=b"private")
    for form in ("png", "jpeg"):
        answer = service.call(picture, output_format=form)
        assert b"Maker" not in answer.content
        assert b"private" not in answer.content


# § 4 Errors ----------------------------------------------------------------------------------------

BAD_FIELDS = [
    ("max_pixels", "99"),
    ("max_pixels", "25000001"),
    ("max_pixels", "many"),
    ("background_color", "red"),
    ("background_color", "#12345"),
    ("result_crop_to_foreground", "maybe"),
    ("result_margin", "-1px"),
    ("result_margin", "1em"),
    ("result_margin", "1px 2px 3px 4px 5px"),
    ("result_target_size", "100"),
    ("result_target_size", "0 10"),
    ("result_vertical_alignment", "centre"),
    ("output_format", "gif"),
    ("output_jpeg_quality", "0"),
    ("output_jpeg_quality", "101"),
    ("test", "1.5"),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_4_a_bad_parameter_is_1019(service: Service, coffee: bytes, name: str, value: str) -> None:
    answer = service.call(coffee, **{name: value})
    assert error_of(answer) == (400, 1019)
    assert name.split("_", 1)[-1] in answer.json()["error"]["message"]


def test_4_no_picture_is_1005(service: Service) -> None:
    assert error_of(service.call()) == (400, 1005)
    assert error_of(service.raw(data={"test": "true"})) == (400, 1005)


def test_4_a_file_name_instead_of_a_file_is_1016(service: Service) -> None:
    assert error_of(service.raw(data={"image": "photo.jpg"})) == (400, 1016)


def test_4_several_sources_are_1019(service: Service, coffee: bytes) -> None:
    assert error_of(service.call(coffee, image_url="https://example.com/a.jpg")) == (400, 1019)
    assert error_of(service.raw(data={"image.url": "https://e.com", "image.base64": "AAAA"})) == (400, 1019)


@pytest.mark.parametrize("picture", [b"", b"not a picture", b"GIF89a", b"\xff\xd8\xff"], ids=repr)
def test_4_what_cannot_be_read_is_1006(service: Service, picture: bytes) -> None:
    assert error_of(service.call(picture)) == (400, 1006)


def test_4_a_truncated_picture_is_1006(service: Service, coffee: bytes) -> None:
    assert error_of(service.call(coffee[: len(coffee) // 2])) == (400, 1006)


def test_4_bad_base64_is_1006(service: Service) -> None:
    assert error_of(service.call(image_base64="!!!")) == (400, 1006)


def test_4_long_base64_is_1019(service: Service) -> None:
    assert error_of(service.call(image_base64="A" * (2**20 + 4))) == (400, 1019)


def test_4_urls_fail_by_their_cause(service: Service) -> None:
    pages = service.web.pages
    pages["/text"] = (200, "text/html", b"<h1>Hello</h1>")
    codes = {
        f"{service.web.url}/missing": 1020,
        f"{service.web.url}/text": 1021,
        "http://unresolvable.invalid/a.jpg": 1022,
        "ftp://example.com/a.jpg": 1024,
        "not a url": 1024,
    }
    for url, code in codes.items():
        assert (url, error_of(service.call(image_url=url))) == (url, (400, code))


def test_4_a_result_too_large_is_1023(service: Service, coffee: bytes) -> None:
    assert error_of(service.call(coffee, result_target_size="6000 6000")) == (400, 1023)
    assert error_of(service.call(coffee, result_margin="900%")) == (400, 1023)


def test_4_too_many_bytes_are_1012(service: Service) -> None:
    assert error_of(service.call(b"\0" * (31_457_280 + 1))) == (413, 1012)


def test_4_too_many_pixels_are_1013_and_say_what_would_do(service: Service) -> None:
    answer = service.call(png_of(8000, 4001))
    assert error_of(answer) == (413, 1013)
    assert "32,000,000" in answer.json()["error"]["message"]


def test_4_no_key_an_unknown_id_and_a_wrong_secret(service: Service, coffee: bytes) -> None:
    good, files = service.credentials, {"image": coffee}
    for auth, code in [(None, 1001), (("px0", "x"), 1001), ((good.api_id, "x"), 1004)]:
        answer = service.raw(auth=auth, files=files)
        assert error_of(answer) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_4_other_addresses_and_methods_use_the_envelope(service: Service) -> None:
    assert error_of(service.http.get("/api/v2/nothing"))[0] == 404
    wrong = service.http.get(PATH)
    assert error_of(wrong)[0] == 405
    assert "POST" in wrong.headers["Allow"]
    assert error_of(service.raw(content=b"<a/>", headers={"Content-Type": "text/xml"}))[0] == 415


def test_4_what_is_told_first(service: Service, coffee: bytes) -> None:
    """401 → bytes → parameters → source → decode → pixels."""
    heavy = b"\0" * (31_457_280 + 1)
    assert error_of(service.raw(auth=("px0", "x"), files={"image": b"x"}, data={"test": "x"})) == (401, 1001)
    assert error_of(service.call(heavy, test="x")) == (413, 1012)
    assert error_of(service.call(test="x")) == (400, 1019)
    assert error_of(service.raw(data={"image": "x", "max_pixels": "1"})) == (400, 1019)
    assert error_of(service.call(b"x", image_url="ftp://x")) == (400, 1019)


# § 6 Delta PNG -------------------------------------------------------------------------------------


def test_6_delta_png_tells_foreground_by_colour(service: Service, coffee: bytes) -> None:
    answer = service.call(coffee, output_format="delta_png", result_margin="50px", background_color="#ff0000")
    image = decoded(answer)
    assert (answer.headers["Content-Type"], image.mode, image.size) == ("image/png", "RGBA", (600, 400))
    assert image.getpixel((280, 150)) == (255, 255, 255, 0)
    assert image.getpixel((0, 0)) == (0, 0, 0, 0)
    assert len(answer.content) < 0.5 * len(service.call(coffee).content)


def png_of(width: int, height: int) -> bytes:
    """A whole PNG of one grey, small in bytes."""
    rows = zlib.compress(b"\0" * ((width + 1) * height), 9)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
