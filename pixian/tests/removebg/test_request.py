"""What a call of the drop-in carries, in each kind of body that its clients send."""

import base64
import io
import json
from ipaddress import ip_network
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder, encode_multipart

from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import ApiError, Code, Refused
from pixian.removebg.errors import SeveralSources
from pixian.removebg.request import MAX_TEXT_BYTES, DropInRequest, credentials_of, read_fields, read_source
from pixian.server.form import MAX_BODY_BYTES
from pixian.server.url_fetcher import Fetcher
from pixian.tests.server.test_url_fetcher import answer, serving

JSON = "application/json"
KNOWN = Credentials("px1", "a:b")
FETCHER = Fetcher()
PICTURE = base64.b64encode(b"picture").decode()


def request(**given: Any) -> DropInRequest:
    return DropInRequest(EnvironBuilder(method="POST", **given).get_environ())


def from_json(body: bytes, **given: Any) -> DropInRequest:
    return request(data=body, content_type=JSON, **given)


def of_unknown_length(body: bytes) -> DropInRequest:
    """As chunks come; the server tells that they end."""
    environ = EnvironBuilder(method="POST", content_type=JSON, input_stream=io.BytesIO(body)).get_environ()
    environ.pop("CONTENT_LENGTH", None)
    return DropInRequest(environ | {"wsgi.input_terminated": True})


def upload(content: bytes = b"picture", name: str = "photo.jpg", **fields: Any) -> DropInRequest:
    return request(data={"image_file": (io.BytesIO(content), name)} | fields)


def content(came: DropInRequest, fetcher: Fetcher = FETCHER) -> bytes:
    with read_source(came, read_fields(came), fetcher) as file:
        file.seek(0)
        return file.read()


def refusal(came: DropInRequest) -> Refused:
    with pytest.raises(Refused) as caught:
        read_source(came, read_fields(came), FETCHER).close()
    return caught.value


def test_a_form_with_a_file_is_read() -> None:
    came = upload(size="full", crop="False")
    assert read_fields(came) == {"size": "full", "crop": "False"}
    assert content(came) == b"picture"


def test_an_urlencoded_form_is_read() -> None:
    came = request(data={"image_file_b64": PICTURE, "size": "auto"})
    assert came.mimetype == "application/x-www-form-urlencoded"
    assert read_fields(came)["size"] == "auto"
    assert content(came) == b"picture"


def test_a_json_object_is_read_as_the_same_texts() -> None:
    body = {"size": "hd", "crop": True, "crop_margin": 0, "scale": None, "image_file_b64": PICTURE}
    came = from_json(json.dumps(body).encode())
    expected = {"size": "hd", "crop": "true", "crop_margin": "0", "image_file_b64": PICTURE}
    assert read_fields(came) == expected
    assert content(came) == b"picture"


def test_a_url_is_fetched() -> None:
    with serving({"a.png": answer(b"picture")}) as site:
        fetcher = Fetcher(networks=(ip_network("127.0.0.0/8"),), ports=frozenset([site.port]))
        came = request(data={"image_url": f" http://127.0.0.1:{site.port}/a.png "})
        assert content(came, fetcher) == b"picture"


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null", b"{", b"\xff{}", b"[" * 100_000, b"9" * 5000])
def test_any_other_json_is_a_bad_parameter(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_fields(from_json(body))
    assert (caught.value.status, caught.value.code) == (400, Code.BAD_PARAMETER)


def test_an_empty_json_body_has_no_parameters() -> None:
    assert read_fields(from_json(b"")) == {}


@pytest.mark.parametrize("length", [MAX_TEXT_BYTES, MAX_TEXT_BYTES + 1, MAX_BODY_BYTES + 1])
@pytest.mark.parametrize("make", [from_json, of_unknown_length])
def test_json_is_bounded_whether_its_length_is_told_or_not(make: Any, length: int) -> None:
    body = b'{"a":"' + b"x" * (length - 8) + b'"}'
    if length <= MAX_TEXT_BYTES:
        assert len(read_fields(make(body))["a"]) == length - 8
        return
    with pytest.raises(Refused, match="16,777,216 bytes") as caught:
        read_fields(make(body))
    assert (caught.value.status, caught.value.code) == (413, Code.TOO_MANY_BYTES)


def test_a_form_may_hold_more_text_than_the_contracts() -> None:
    text = base64.b64encode(bytes(6_000_000)).decode()
    boundary, body = encode_multipart({"image_file_b64": text})
    came = request(data=body, content_type=f"multipart/form-data; boundary={boundary}")
    assert len(content(came)) == 6_000_000


def test_another_kind_of_body_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        read_fields(request(data=b"<a/>", content_type="text/xml"))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("came", "code"),
    [
        (request(), Code.NO_IMAGE),
        (request(data={"image_url": " ", "image_file_b64": "undefined"}), Code.NO_IMAGE),
        (upload(b"", ""), Code.NO_IMAGE),
        (request(data={"image_file": "photo.jpg"}), Code.IMAGE_AS_TEXT),
        (request(data={"image_file_b64": "é"}), Code.BAD_PARAMETER),
        (request(data={"image_url": "http://127.0.0.1/"}), Code.URL_FAILED),
        (request(data={"image_url": "http://a\x00.example/"}), Code.URL_UNPARSEABLE),
        (from_json(b'{"image_url": "http://\\ud800.example/"}'), Code.URL_UNPARSEABLE),
        (from_json(b'{"image_url": ["a"]}'), Code.URL_UNPARSEABLE),
    ],
    ids=lambda value: value.name if isinstance(value, Code) else "",
)
def test_a_picture_that_is_none_is_named(came: DropInRequest, code: Code) -> None:
    assert (refusal(came).status, refusal(came).code) == (400, code)


@pytest.mark.parametrize(
    "came",
    [
        upload(image_url="http://example.org/a.jpg"),
        upload(image_file_b64=PICTURE),
        request(data={"image_file_b64": PICTURE, "image_url": "http://example.org/a.jpg"}),
        request(data={"image_file": [(io.BytesIO(b"1"), "1.jpg"), (io.BytesIO(b"2"), "2.jpg")]}),
    ],
)
def test_one_picture_at_a_time(came: DropInRequest) -> None:
    assert isinstance(refusal(came), SeveralSources)


def test_a_source_left_out_by_a_javascript_client_is_no_second_one() -> None:
    assert content(upload(image_url="undefined", image_file_b64="")) == b"picture"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": KNOWN.api_key},
        {"x-api-key": f" {KNOWN.api_key} "},
        {"Authorization": KNOWN.authorization},
        {"X-Api-Key": KNOWN.api_key, "Authorization": Credentials("px2", "c").authorization},
    ],
)
def test_a_key_comes_in_either_header(headers: dict[str, str]) -> None:
    assert credentials_of(request(headers=headers)) == KNOWN


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Api-Key": ""}, {"X-Api-Key": "é"}, {"X-Api-Key": "px1"}, {"Authorization": "Bearer cHg6eA=="}],
)
def test_anything_else_is_no_key(headers: dict[str, str]) -> None:
    assert credentials_of(request(headers=headers)) is None


def test_nothing_but_the_contracts_errors_comes_out() -> None:
    for body in (b'{"size": {"a": [1]}}', b'{"": ""}', b'{"size": 1e999}', b'{"crop": NaN}'):
        with pytest.raises(ApiError):
            read_source(from_json(body), read_fields(from_json(body)), FETCHER)
