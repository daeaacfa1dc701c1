"""What the engine doesn't do, and in which order it says so: § 4 of the contract."""

import io
import struct
import time
import zlib
from wsgiref.types import WSGIApplication

import httpx
import pytest

from engine.tests.conftest import KNOWN, REMOVE, photo, refusal, upload
from pixian.protocol.credentials import Credentials
from pixian.protocol.limits import MAX_UPLOAD_BYTES

CAT = photo("chelsea")


def huge_png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


class TestCredentials:
    @pytest.mark.parametrize(
        ("authorization", "code"),
        [
            ("", 1001),
            ("Bearer abc", 1001),
            ("Basic ???", 1001),
            (Credentials("pxnobody0000000", KNOWN.api_secret).authorization, 1001),
            (Credentials("pxé", KNOWN.api_secret).authorization, 1001),
            (Credentials(KNOWN.api_id, "wrong").authorization, 1004),
            (Credentials(KNOWN.api_id, "").authorization, 1004),
        ],
    )
    def test_wrong_ones_are_refused(
        self, application: WSGIApplication, authorization: str, code: int
    ) -> None:
        with httpx.Client(transport=httpx.WSGITransport(application)) as client:
            answer = client.post(
                f"http://engine{REMOVE}", files=upload(CAT), headers={"Authorization": authorization}
            )

        assert refusal(answer) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")

    def test_they_come_before_everything_else(self, http: httpx.Client) -> None:
        answer = http.post(REMOVE, content=b"x", headers={"Content-Type": "image/png"}, auth=("a", "b"))

        assert refusal(answer) == (401, 1001)


class TestRequests:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", (400, 1006)),
            (b"a text", (400, 1006)),
            (CAT[: len(CAT) // 2], (400, 1006)),
            (huge_png(30_000, 30_000), (413, 1013)),
            (huge_png(8_000, 4_000), (400, 1006)),
            (huge_png(8_001, 4_000), (413, 1013)),
        ],
        ids=["empty", "text", "truncated", "huge", "largest", "too large"],
    )
    def test_bad_pictures(self, http: httpx.Client, content: bytes, expected: tuple[int, int]) -> None:
        started = time.monotonic()

        answer = http.post(REMOVE, files=upload(content))

        assert refusal(answer) == expected
        assert time.monotonic() - started < 2

    def test_no_picture(self, http: httpx.Client) -> None:
        assert refusal(http.post(REMOVE)) == (400, 1005)
        assert refusal(http.post(REMOVE, data={"other": "1"})) == (400, 1005)
        assert refusal(http.post(REMOVE, files={"other": ("a.jpg", CAT)})) == (400, 1005)
        assert refusal(http.post(REMOVE, files={"image": (None, b"")})) == (400, 1005)

    def test_a_file_field_left_empty(self, application: WSGIApplication) -> None:
        """As browsers send it: a part with a name, and a file name without a letter."""
        part = b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n\r\n--b--\r\n'

        answer = self.raw(application, io.BytesIO(part), CONTENT_LENGTH=str(len(part)))

        assert refusal(answer) == (400, 1005)

    def test_a_picture_as_text(self, http: httpx.Client) -> None:
        assert refusal(http.post(REMOVE, data={"image": "photo.jpg"})) == (400, 1016)
        assert refusal(http.post(REMOVE, files={"image": (None, CAT)})) == (400, 1016)

    def test_two_pictures(self, http: httpx.Client) -> None:
        files = [("image", ("a.jpg", CAT)), ("image", ("b.jpg", CAT))]

        assert refusal(http.post(REMOVE, files=files)) == (400, 1019)

    @pytest.mark.parametrize("data", [{"max_pixels": "99"}, {"max_pixels": "1e3"}, {"test": "yes"}])
    def test_bad_parameters_come_before_the_picture(self, http: httpx.Client, data: dict[str, str]) -> None:
        assert refusal(http.post(REMOVE, files=upload(b"no picture"), data=data)) == (400, 1019)
        assert refusal(http.post(REMOVE, data=data)) == (400, 1019)

    def test_too_many_bytes(self, http: httpx.Client) -> None:
        picture = CAT.ljust(MAX_UPLOAD_BYTES + 1, b"\0")
        bad = {"max_pixels": "0"}

        answer = http.post(REMOVE, files=upload(picture), data=bad)
        assert refusal(answer) == (413, 1012)
        assert "31,457,281" in answer.json()["error"]["message"]
        assert http.post(REMOVE, files=upload(picture[:-1])).status_code == 200

    def test_too_many_bytes_are_not_read(self, application: WSGIApplication) -> None:
        class Unread(io.RawIOBase):
            def readable(self) -> bool:
                raise AssertionError("The body was read")

        answer = self.raw(application, Unread(), CONTENT_LENGTH=str(10**12))

        assert refusal(answer) == (413, 1012)

    def test_too_many_bytes_of_unknown_length(self, application: WSGIApplication) -> None:
        start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        body = io.BytesIO(start + b"\0" * (MAX_UPLOAD_BYTES + 4_000_000))

        answer = self.raw(application, body, **{"wsgi.input_terminated": True})

        assert refusal(answer) == (413, 1012)

    def test_too_much_text(self, http: httpx.Client) -> None:
        assert refusal(http.post(REMOVE, files={"other": (None, "A" * 3_000_000)})) == (413, 1012)

    def test_no_form(self, http: httpx.Client) -> None:
        assert refusal(http.post(REMOVE, json={"image": "x"})) == (400, 1019)
        assert refusal(http.post(REMOVE, content=CAT, headers={"Content-Type": "image/jpeg"})) == (415, 415)

    def test_other_addresses_and_methods(self, http: httpx.Client) -> None:
        assert refusal(http.get("/")) == (404, 404)
        answer = http.get(REMOVE)
        assert refusal(answer) == (405, 405)
        assert answer.headers["Allow"] == "POST"

    @staticmethod
    def raw(application: WSGIApplication, body: object, **environ: object) -> httpx.Response:
        """A call below httpx, which would count the body itself."""
        started: list[object] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": REMOVE,
            "SERVER_NAME": "engine",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "CONTENT_TYPE": "multipart/form-data; boundary=b",
            "HTTP_AUTHORIZATION": KNOWN.authorization,
            **environ,
        }
        content = b"".join(application(environ, lambda *answer: started.extend(answer)))  # type: ignore[arg-type]
        return httpx.Response(int(str(started[0])[:3]), headers=started[1], content=content)  # type: ignore[arg-type]
