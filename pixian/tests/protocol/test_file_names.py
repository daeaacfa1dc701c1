"""Names that clients give their files: what is kept of them, and what goes into a header."""

import email.message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixian.protocol.file_names import attachment, clean, cut_out_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("C:\\Users\\bob\\photo.jpg", "photo.jpg"),
        ("C:photo.jpg", "photo.jpg"),
        ("C: D: E:photo.jpg", "photo.jpg"),
        ("..\\../photo.jpg", "photo.jpg"),
        ("/etc/passwd", "passwd"),
        ("\\\\server\\share\\photo.jpg", "photo.jpg"),
        ("photos/", "photos"),
        ("55%22 screen.jpg", '55" screen.jpg'),
        ("a%0d%0Ab.jpg", "ab.jpg"),
        ("100%.jpg", "100%.jpg"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("a\0/\ud800b.jpg", "b.jpg"),
        ("\ufffdber.jpg", "\ufffdber.jpg"),
        *((blank, "") for blank in ("", " ", "\t", ".", "..", "/", "C:\\", "\u200b", "a/..")),
    ],
)
def test_the_last_part_of_a_path_is_kept(sent: str, kept: str) -> None:
    assert clean(sent) == kept
    assert clean(kept) == kept
    clean(sent).encode()


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("photo.jpeg", "photo-cutout.png"),
        ("my.photo.jpg", "my.photo-cutout.png"),
        ("", "picture-cutout.png"),
        (" ", "picture-cutout.png"),
        ("C:\\a\\b.png", "b-cutout.png"),
    ],
)
def test_a_result_is_called_after_its_original(original: str, expected: str) -> None:
    assert cut_out_name(original, "png") == expected
    assert cut_out_name(original, "png", delta=True) == expected.replace("cutout", "delta")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.png", 'attachment; filename="a.png"'),
        ("été.png", "attachment; filename=\"ete.png\"; filename*=UTF-8''%C3%A9t%C3%A9.png"),
        ("写真.png", "attachment; filename=\".png\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.png"),
        ('a"b\\c.png', 'attachment; filename="c.png"'),
        ('5" tv.png', "attachment; filename=\"5_ tv.png\"; filename*=UTF-8''5%22%20tv.png"),
        ("a\r\nX: b.png", 'attachment; filename="aX: b.png"'),
        ("", 'attachment; filename="picture"'),
        ("写真", "attachment; filename=\"picture\"; filename*=UTF-8''%E5%86%99%E7%9C%9F"),
        ("．．", "attachment; filename=\"picture\"; filename*=UTF-8''%EF%BC%8E%EF%BC%8E"),
        ("Ｃ：a.png", "attachment; filename=\"a.png\"; filename*=UTF-8''%EF%BC%A3%EF%BC%9Aa.png"),
        ("a／b.png", "attachment; filename=\"b.png\"; filename*=UTF-8''a%EF%BC%8Fb.png"),
        (
            "a％２２b.png",
            "attachment; filename=\"a_b.png\"; filename*=UTF-8''a%EF%BC%85%EF%BC%92%EF%BC%92b.png",
        ),
    ],
)
def test_a_header_carries_any_name(name: str, value: str) -> None:
    assert attachment(name) == value
    message = email.message.Message()
    message["Content-Disposition"] = value
    assert message.get_filename() in (
        clean(name),
        clean(name).encode("ascii", "ignore").decode(),
        "picture",
    ) or ("filename*" in value)


@given(st.text(max_size=30))
@example("．．／．／evil.png")
@example("‥／evil.png")
@example("a℅b.png")
@example("．．＼evil.png")
def test_the_plain_name_in_a_header_is_as_clean_as_the_full_one(name: str) -> None:
    plain = attachment(name).split('"')[1]
    assert plain
    assert clean(plain) == plain
    assert plain.isascii()
