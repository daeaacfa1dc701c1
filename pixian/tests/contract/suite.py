"""Every row of the contract's §§ 1 to 6 that shows over the wire. Names follow its sections."""

import base64
import io
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from PIL import Image

from pixian.tests.contract.service import PATH, Service, decoded, encoded, error_of

CREDITS = re.compile(r"\d+\.\d{6}")
CORNERS = [(0, 0), (-1, 0), (0, -1), (-1, -1)]


@pytest.fixture
def coffee(photo: Callable[[str], bytes]) -> bytes:
    """600 × 400, a red cup in the middle of a table."""
    return photo("coffee")


@pytest.fixture
def small(coffee: bytes) -> bytes:
    """*coffee* at 150 × 100, for tests that don't look at the result's pixels: it takes less CPU."""
    return thumbnail(coffee)


@cache
def thumbnail(picture: bytes) -> bytes:
    image = Image.open(io.BytesIO(picture))
    image.thumbnail((150, 100))
    return encoded(image, "JPEG")


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


def test_1_the_key_itself_goes_after_basic(service: Service, small: bytes) -> None:
    headers = {"Authorization": f"Basic {service.credentials.api_key}"}
    answer = service.http.post(PATH, headers=headers, files={"image": small})
    assert answer.status_code == 200


def test_1_browsers_on_other_pages_may_call(service: Service, small: bytes) -> None:
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

    answer = service.raw(files={"image": small}, headers={"Origin": "https://shop.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Credits-Charged" in answer.headers["Access-Control-Expose-Headers"]
    refused = service.http.post(PATH, headers={"Origin": "https://shop.example"})
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


V1 = PATH.replace("v2", "v1")


def test_1_the_first_version_is_served_in_camel_case(service: Service, coffee: bytes) -> None:
    auth = (service.credentials.api_id, service.credentials.api_secret)
    old = {
        "maxPixels": "60000",
        "result.targetSize": "300 400",
        "result.verticalAlignment": "TOP",
        "result.cropToForeground": "True",
        "background.color": "#ffffff",
        "output.jpegQuality": "30",
    }
    new = {
        "max_pixels": "60000",
        "result.target_size": "300 400",
        "result.vertical_alignment": "top",
        "result.crop_to_foreground": "true",
        "background.color": "#ffffff",
        "output.jpeg_quality": "30",
    }
    expected = service.raw(data=new, files={"image": coffee})
    for fields in (old, new):
        answer = service.http.post(V1, auth=auth, files={"image": coffee}, data=fields)
        assert (answer.status_code, answer.content) == (200, expected.content)
        assert answer.headers["Deprecation"] == "@1686614400"
        assert "/api/v2/" in answer.headers["Link"]
        assert "Deprecation" in answer.headers["Access-Control-Expose-Headers"]
    assert "Deprecation" not in expected.headers


def test_1_the_first_version_refuses_in_the_same_envelope(service: Service, small: bytes) -> None:
    auth = (service.credentials.api_id, service.credentials.api_secret)
    refused: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({"data": {"maxPixels": "99"}, "files": {"image": small}}, (400, 1019)),
        ({"data": {"test": "true"}}, (400, 1005)),
    ]
    for request, expected in refused:
        answer = service.http.post(V1, auth=auth, **request)
        assert error_of(answer) == expected
        assert "Deprecation" in answer.headers
    assert error_of(service.http.post(V1, files={"image": small})) == (401, 1001)
    assert error_of(service.http.get(V1))[0] == 405
    # Version 2 doesn't know the old names.
    assert service.raw(data={"maxPixels": "99"}, files={"image": small}).status_code == 200


@pytest.mark.parametrize("path", [f"{PATH}/", f"/{PATH}", PATH.replace("/v2/", "//v2///"), f"{V1}//"])
def test_1_a_slash_too_many_is_no_other_call(service: Service, small: bytes, path: str) -> None:
    auth = (service.credentials.api_id, service.credentials.api_secret)
    url = service.http.base_url.copy_with(raw_path=path.encode())
    answer = service.http.post(url, auth=auth, files={"image": small}, follow_redirects=False)
    assert answer.status_code == 200, answer.text
    account = service.http.base_url.copy_with(raw_path=b"/api//v2/account/")
    assert service.http.get(account, auth=auth, follow_redirects=False).status_code == 200


# § 2 Request ---------------------------------------------------------------------------------------


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"b") -> bytes:
    """A form of parts, each its headers and its bytes, as no library writes them."""
    lines = (b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return b"".join(lines) + b"--" + boundary + b"--\r\n"


def image_part(file_name: str | bytes) -> bytes:
    name = file_name.encode() if isinstance(file_name, str) else file_name
    return b'Content-Disposition: form-data; name="image"; ' + name


TEST = (b'Content-Disposition: form-data; name="test"', b"true")
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}

FILE_NAMES = {
    "UTF-8": 'filename="Größe.jpg"',
    "Latin-1": 'filename="Größe.jpg"'.encode("latin-1"),
    "Windows-1252": 'filename="Größe – 5 €.jpg"'.encode("cp1252"),
    "Shift-JIS": 'filename="写真.jpg"'.encode("shift-jis"),
    "Shift-JIS that ends in a backslash": 'filename="表"'.encode("shift-jis"),
    "GBK": 'filename="照片.jpg"'.encode("gbk"),
    "UTF-16": b'filename="' + "a.jpg".encode("utf-16") + b'"',
    "RFC 5987": "filename*=UTF-8''Gr%C3%B6%C3%9Fe.jpg",
    "RFC 5987, Latin-1": "filename*=iso-8859-1''Gr%F6%DFe.jpg",
    "both": "filename=\"Groesse.jpg\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.jpg",
    "escaped quotes": 'filename="55%22 screen.jpg"',
    "quoted pairs": r'filename="55\" screen.jpg"',
    "a path of Windows": r'filename="C:\Users\bob\photo.jpg"',
    "a backslash at the end": 'filename="C:\\photos\\"',
    "a path": 'filename="../../etc/passwd"',
    "a space": 'filename=" "',
    "nothing": 'filename=""',
    "a dot": 'filename=".."',
    "no quotes": "filename=photo.jpg",
    "no quotes, other letters": "filename=写真.jpg",
    "no quotes, a space": "filename=my photo.jpg",
    "spaces around the sign": 'filename = "photo.jpg"',
    "capitals": 'FileName="photo.jpg"',
    "one quote": 'filename="photo.jpg',
    "NUL": b'filename="a\0b.jpg"',
    "a line break": 'filename="a\r\n b.jpg"',
    "very long": f'filename="{"n" * 5000}.jpg"',
}


@pytest.mark.parametrize("name", FILE_NAMES.values(), ids=FILE_NAMES)
def test_2_no_file_name_costs_the_form_its_fields(service: Service, small: bytes, name: str | bytes) -> None:
    body = form(TEST, (image_part(name), small))
    answer = service.raw(content=body, headers=MULTIPART)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Credits-Charged"] == "0.000000"
    assert re.fullmatch(
        r'attachment; filename="[^"\\]+"(; filename\*=[!-~]+)?', answer.headers["Content-Disposition"]
    )


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"',
        "Multipart/Form-Data;Boundary=b",
        "multipart/form-data; charset=utf-8; boundary = b ; x=y",
        'multipart/form-data; boundary="b',
    ],
)
def test_2_boundaries_are_found_as_clients_write_them(service: Service, small: bytes, kind: str) -> None:
    body = form(TEST, (image_part('filename="a.jpg"'), small))
    assert service.raw(content=body, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("boundary", ["----=_Part_1_2.3", "=====12/3:4?=", "'b'", "a b"])
def test_2_boundaries_may_have_letters_that_ask_for_quotes(
    service: Service, small: bytes, boundary: str
) -> None:
    body = form(TEST, (image_part('filename="a.jpg"'), small), boundary=boundary.encode())
    for written in {boundary if " " not in boundary else f'"{boundary}"', f'"{boundary}"'}:
        kind = {"Content-Type": f"multipart/form-data; boundary={written}"}
        assert service.raw(content=body, headers=kind).status_code == 200


def test_2_what_stands_around_the_parts_is_left_out(service: Service, small: bytes) -> None:
    parts = form(TEST, (image_part('filename="a.jpg"'), small))
    body = b"This is a form.\r\n" + parts + b"The end.\r\n"
    assert service.raw(content=body, headers=MULTIPART).status_code == 200
    nameless = form(
        (b"Content-Disposition: form-data", b"x"),
        (b"Content-Type: text/plain", b"x"),
        (b'Content-Disposition: form-data; filename="b.jpg"', b"x"),
        TEST,
        (image_part('filename="a.jpg"'), small),
    )
    assert service.raw(content=nameless, headers=MULTIPART).status_code == 200


def test_2_transfer_encodings_are_decoded(service: Service, coffee: bytes) -> None:
    encoded = b"\r\nContent-Transfer-Encoding: "
    picture = (image_part('filename="a.jpg"') + encoded + b"base64", base64.encodebytes(coffee))
    flag = (TEST[0] + encoded + b"BASE64", b"dHJ1ZQ==")
    quoted = (
        b'Content-Disposition: form-data; name="max_pixels"' + encoded + b"quoted-printable",
        b"60=\r\n000",
    )
    answer = service.raw(content=form(flag, quoted, picture), headers=MULTIPART)
    assert (answer.status_code, answer.headers["X-Credits-Charged"]) == (200, "0.000000"), answer.text
    assert decoded(answer).size[0] < 600
    broken = (image_part('filename="a.jpg"') + encoded + b"base64", b"no base64!")
    assert error_of(service.raw(content=form(broken), headers=MULTIPART)) == (400, 1019)


def test_2_a_form_that_cannot_be_read_is_told_so(service: Service, small: bytes) -> None:
    whole = form(TEST, (image_part('filename="a.jpg"'), small))
    other = {"Content-Type": "multipart/form-data; boundary=c"}
    without = {"Content-Type": "multipart/form-data"}
    wrong = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers in [
        (whole[:-20], MULTIPART),
        (whole, other),
        (whole, without),
        (whole, without | {"Content-Type": 'multipart/form-data; boundary=""'}),
        (whole, wrong),
    ]:
        answer = service.raw(content=body, headers=headers)
        assert error_of(answer) == (400, 1019)
        assert "no image" not in answer.json()["error"]["message"]
    assert error_of(service.raw(content=b"", headers=MULTIPART)) == (400, 1005)
    assert error_of(service.raw(content=b"--b--\r\n", headers=MULTIPART)) == (400, 1005)
    assert error_of(service.raw(content=whole)) == (415, 415)
    assert error_of(service.raw(content=b"")) == (400, 1005)


def test_2_of_several_values_the_first_one_counts(service: Service, small: bytes) -> None:
    files = {"image": small}
    for fields, charged in [
        ([("test", "true"), ("test", "false")], False),
        ([("test", "false"), ("test", "true")], True),
        ([("test", ""), ("test", "true")], False),
    ]:
        body = form(
            *((b'Content-Disposition: form-data; name="%s"' % n.encode(), v.encode()) for n, v in fields),
            (image_part('filename="a.jpg"'), small),
        )
        answer = service.raw(content=body, headers=MULTIPART)
        assert (answer.headers["X-Credits-Charged"] != "0.000000") == charged
    answer = service.raw(params={"test": "true"}, data={"test": ""}, files=files)
    assert answer.headers["X-Credits-Charged"] == "0.000000"
    twice = {"image.url": ["http://a.example/", "http://b.example/"]}
    assert error_of(service.raw(data=twice)) == (400, 1019)
    asked = {"image.url": "http://a.example/"}
    assert error_of(service.raw(params=asked, files=files)) == (400, 1019)


def test_2_bytes_that_are_no_utf8_are_no_failure(service: Service, small: bytes) -> None:
    body = form(
        (b'Content-Disposition: form-data; name="\xe9"', b"\xe9"), TEST, (image_part('filename="a"'), small)
    )
    assert service.raw(content=body, headers=MULTIPART, params=b"x=%E9").status_code == 200
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert error_of(service.raw(content=b"note=\xe9&test=true", headers=plain)) == (400, 1005)


BASE64_FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "a prefix": lambda text: f"data:image/jpeg;base64,{text}",
    "a prefix in capitals": lambda text: f" DATA:image/jpeg;BASE64,{text}",
    "no padding": lambda text: text.rstrip("="),
    "URL-safe": lambda text: text.translate(str.maketrans("+/", "-_")),
    "URL-safe without padding": lambda text: text.translate(str.maketrans("+/", "-_")).rstrip("="),
    "lines": lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
    "lines and tabs": lambda text: "\n\t".join(text[at : at + 64] for at in range(0, len(text), 64)),
    "lines joined by spaces": lambda text: " ".join(text[at : at + 76] for at in range(0, len(text), 76)),
    "plus signs that were lost": lambda text: text.replace("+", " "),
}


PADDED = ("as it is", "no padding", "URL-safe without padding")
"""The forms that depend on how many bytes are left at the end."""


@pytest.mark.parametrize(
    ("form", "longer"),
    [(form, longer) for form in BASE64_FORMS for longer in range(3 if form in PADDED else 1)],
)
def test_2_base64_is_read_as_clients_write_it(service: Service, small: bytes, form: str, longer: int) -> None:
    text = BASE64_FORMS[form](base64.b64encode(small + bytes(longer)).decode())
    assert service.raw(data={"image.base64": text, "test": "true"}).status_code == 200


def test_2_values_are_read_in_any_case(service: Service, small: bytes) -> None:
    fields = {"result_target_size": "300 400", "test": "TRUE"}
    plain = service.call(small, **fields, result_vertical_alignment="top", output_format="jpeg")
    other = service.call(small, **fields, result_vertical_alignment=" TOP", output_format="JPEG")
    assert (other.status_code, other.content) == (200, plain.content)
    delta = service.call(small, output_format="Delta_PNG", test="True")
    assert delta.headers["Content-Disposition"] == 'attachment; filename="photo-delta.png"'


def test_2_sources_arrive_urlencoded_or_multipart(service: Service, small: bytes) -> None:
    text = base64.b64encode(small).decode()
    assert service.raw(data={"image.base64": text}).status_code == 200
    assert service.call(image_base64=f"data:image/jpeg;base64,{text}").status_code == 200


def test_2_a_url_is_fetched(service: Service, small: bytes) -> None:
    service.web.pages["/coffee"] = (200, "image/jpeg", small)
    assert service.raw(data={"image.url": f"{service.web.url}/coffee"}).status_code == 200
    assert service.call(image_url=f"{service.web.url}/coffee").status_code == 200


def test_2_the_query_is_read_and_the_body_wins(service: Service, small: bytes) -> None:
    answer = service.raw(params={"test": "true"}, files={"image": small})
    assert answer.headers["X-Credits-Charged"] == "0.000000"
    answer = service.raw(params={"test": "true"}, data={"test": "false"}, files={"image": small})
    assert answer.headers["X-Credits-Charged"] != "0.000000"


def test_2_json_is_not_a_form(service: Service) -> None:
    assert error_of(service.raw(json={"image.url": "https://example.com/a.jpg"})) == (400, 1019)


def test_2_unknown_and_empty_fields_are_ignored(service: Service, small: bytes) -> None:
    fields = {"colour": "green", "test": "", "image.url": "", "output.format": ""}
    assert service.raw(data=fields, files={"image": small}).status_code == 200


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


FORMATS = [
    *((kind, mode) for mode in ("RGB", "L", "P", "1") for kind in ("BMP", "GIF", "PNG", "TIFF")),
    *((kind, mode) for mode in ("RGB", "L") for kind in ("JPEG", "WEBP")),
]


@pytest.mark.parametrize(("kind", "mode"), FORMATS)
def test_2_every_format_is_read(service: Service, small: bytes, kind: str, mode: str) -> None:
    picture = encoded(Image.open(io.BytesIO(small)).convert(mode), kind)
    assert decoded(service.call(picture)).size == (150, 100)


# § 3 Answer ----------------------------------------------------------------------------------------


def test_3_headers_of_a_result(service: Service, coffee: bytes) -> None:
    headers = service.call(coffee).headers
    assert CREDITS.fullmatch(headers["X-Credits-Charged"])
    assert "X-Credits-Calculated" not in headers
    assert headers["X-Input-Size"] == headers["X-Result-Size"] == "600 400"
    assert headers["X-Input-Orientation"] == "1"


def test_3_a_result_has_a_safe_name(service: Service, small: bytes) -> None:
    for name, expected in [
        ("holiday.jpeg", 'attachment; filename="holiday-cutout.jpg"'),
        (
            "Größe.png",
            "attachment; filename=\"Groe-cutout.jpg\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe-cutout.jpg",
        ),
        ("C:\\Users\\bob\\me.png", 'attachment; filename="me-cutout.jpg"'),
        ('5"\r\nSet-Cookie: a=b.png', None),
    ]:
        files = {"image": (name, small)}
        answer = service.raw(files=files, data={"test": "true", "output.format": "jpeg"})
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        disposition = answer.headers["Content-Disposition"]
        assert disposition.isascii()
        assert expected is None or disposition == expected
    body = form(TEST, (image_part(r'filename="C:\Users\bob\me.png"'), small))
    answer = service.raw(content=body, headers=MULTIPART)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="me-cutout.png"'
    service.web.pages["/a%20b.png"] = (200, "image/jpeg", small)
    answer = service.raw(data={"image.url": f"{service.web.url}/a%20b.png", "test": "true"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a b-cutout.png"'


def test_3_a_test_is_free_and_says_what_it_would_cost(service: Service, small: bytes) -> None:
    headers = service.call(small, test="True").headers
    assert headers["X-Credits-Charged"] == "0.000000"
    assert headers["X-Credits-Calculated"] == service.call(small).headers["X-Credits-Charged"]


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
def test_4_a_bad_parameter_is_1019(service: Service, small: bytes, name: str, value: str) -> None:
    answer = service.call(small, **{name: value})
    assert error_of(answer) == (400, 1019)
    assert name.split("_", 1)[-1] in answer.json()["error"]["message"]


def test_4_no_picture_is_1005(service: Service) -> None:
    assert error_of(service.call()) == (400, 1005)
    assert error_of(service.raw(data={"test": "true"})) == (400, 1005)


def test_4_a_file_name_instead_of_a_file_is_1016(service: Service) -> None:
    assert error_of(service.raw(data={"image": "photo.jpg"})) == (400, 1016)


def test_4_several_sources_are_1019(service: Service, small: bytes) -> None:
    assert error_of(service.call(small, image_url="https://example.com/a.jpg")) == (400, 1019)
    assert error_of(service.raw(data={"image.url": "https://e.com", "image.base64": "AAAA"})) == (400, 1019)


@pytest.mark.parametrize("picture", [b"", b"not a picture", b"GIF89a", b"\xff\xd8\xff"], ids=repr)
def test_4_what_cannot_be_read_is_1006(service: Service, picture: bytes) -> None:
    assert error_of(service.call(picture)) == (400, 1006)


def test_4_a_truncated_picture_is_1006(service: Service, small: bytes) -> None:
    assert error_of(service.call(small[: len(small) // 2])) == (400, 1006)


@pytest.mark.parametrize("text", ["!!!", "photo.jpg", "A", "AA=A", "data:text/plain,hello!", "é"])
def test_4_what_is_no_base64_is_1019_and_says_so(service: Service, text: str) -> None:
    answer = service.call(image_base64=text)
    assert error_of(answer) == (400, 1019)
    assert "base64" in answer.json()["error"]["message"]


def test_4_base64_of_no_picture_is_1006(service: Service) -> None:
    assert error_of(service.call(image_base64=base64.b64encode(b"no picture").decode())) == (400, 1006)


def test_4_long_base64_is_1019(service: Service, small: bytes) -> None:
    assert error_of(service.call(image_base64="A" * (2**20 + 4))) == (400, 1019)
    assert error_of(service.raw(data={"image.base64": "A" * (2**20 + 1)})) == (400, 1019)
    longest = base64.b64encode(small.ljust(3 << 18, b"\0")).decode()
    assert len(longest) == 2**20
    assert service.raw(data={"image.base64": longest, "test": "true"}).status_code == 200


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


def test_4_no_key_an_unknown_id_and_a_wrong_secret(service: Service, small: bytes) -> None:
    good, files = service.credentials, {"image": small}
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
