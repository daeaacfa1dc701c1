"""Names in a download: as the pattern and the list say, and safe wherever the ZIP is unpacked (E22)."""

import io
import string
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.batches import name_list, naming
from jobs.batches.naming import Named, Naming, NamingError, checked_pattern, names, safe

RESERVED = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))}
HOSTILE = (
    "../../x.jpg",
    "..\\..\\x.jpg",
    "/etc/passwd",
    "C:\\Windows\\x.jpg",
    "CON",
    "con.jpg",
    "NUL .png",
    "COM1.tar.jpg",
    "LPT¹.jpg",
    "photo.jpg",
    "PHOTO.JPG",
    "photo.jpeg",
    "x" * 300 + ".jpg",
    "ü" * 300 + ".jpg",
    "e\u0301te\u0301.jpg",
    "\u00e9t\u00e9.jpg",
    "\u202egpj.exe",
    "a\u200bb.jpg",
    "ab.jpg",
    "trailing. . .jpg",
    "...",
    "",
    " ",
    ".jpg",
    "<img src=x onerror=alert(1)>.jpg",
    'a:b|c?d*e"f.jpg',
    "line\r\nbreak\x00\x07.jpg",
    "\ud800.jpg",
    "{name}.jpg",
)


def named(
    name: str = "photo.jpg", folder: str = "", number: int = 1, style: str = "", ending: str = "png"
) -> Named:
    return Named(name, folder, number, style, ending)


def of_one(pattern: str, new: dict[str, str] | None = None, **file: Any) -> str:
    return names([named(**file)], Naming(checked_pattern(pattern), new or {}))[0]


def faults(listed: list[str]) -> list[str]:
    """Return what an unpacking system would stumble over, found without our own code."""
    found = []
    for name in listed:
        components = name.split("/")
        rules = {
            "empty or relative": any(part.strip(". ") == "" for part in components),
            "forbidden": any(character in '<>:"\\|?*' for character in name),
            "invisible": any(unicodedata.category(character)[0] == "C" for character in name),
            "end": any(part[-1:] in ". " for part in components),
            "device": any(part.split(".")[0].strip().lower() in RESERVED for part in components),
            "long": len(name.encode(errors="surrogatepass")) > 240,
            "not NFC": unicodedata.normalize("NFC", name) != name,
            "ending": not name.endswith(".png"),
        }
        found += [f"{rule}: {name!r}" for rule, broken in rules.items() if broken]
    folded = [unicodedata.normalize("NFC", name).casefold() for name in listed]
    found += [f"twice: {name!r}" for name in {name for name in folded if folded.count(name) > 1}]
    parents = {str(parent) for name in folded for parent in Path(name).parents}
    return found + [f"file and folder: {name!r}" for name in folded if name in parents]


@pytest.mark.parametrize(
    ("pattern", "file", "expected"),
    [
        ("", {}, "photo.png"),
        ("", {"folder": "shoes/red"}, "shoes/red/photo.png"),
        ("{folder}-{name}", {"folder": "shoes/red"}, "shoes/red-photo.png"),
        ("{folder}-{name}", {}, "photo.png"),
        ("{name} {folder}", {}, "photo.png"),
        ("{number}", {"number": 7}, "7.png"),
        ("{name}_{style}", {"style": "Amazon, white"}, "photo_Amazon, white.png"),
        ("{style}/{name}", {}, "cutout/photo.png"),
        ("{sku}", {}, "photo.png"),
        ("shop {name}.jpg", {"ending": "jpg"}, "shop photo.jpg"),
        ("{{{name}}}", {}, "{photo}.png"),
        ("{name}", {"name": "_MG_0001.CR2.jpg"}, "_MG_0001.CR2.png"),
        ("{name}", {"name": "a/b.jpg"}, "a_b.png"),
        ("{name}", {"name": "{number}.jpg"}, "{number}.png"),
        ("../{name}", {}, "photo.png"),
        ("/{name}", {}, "photo.png"),
        ("{folder}/{name}", {"folder": "../../etc"}, "etc/photo.png"),
        ("{folder}/{name}", {"folder": "C:\\x"}, "C_/x/photo.png"),
    ],
)  # fmt: skip
def test_a_file_is_named_by_the_pattern(pattern: str, file: dict[str, Any], expected: str) -> None:
    assert of_one(pattern, **file) == expected


def test_numbers_have_as_many_digits_as_the_batch_needs() -> None:
    files = [named(number=number) for number in (1, 20, 300)]
    assert names(files, Naming("{number}")) == ["001.png", "020.png", "300.png"]


def test_a_recipe_names_each_output_after_its_style() -> None:
    files = [named(style="Amazon", ending="jpg"), named(style="Zalando", ending="webp")]
    assert names(files, Naming()) == ["photo-Amazon.jpg", "photo-Zalando.webp"]


@pytest.mark.parametrize(
    "pattern", ["{size}", "{name", "name}", "{}", "{0}", "{name!r}", "{name:>99}", "{name.x}", "x" * 201]
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(NamingError):
        checked_pattern(pattern)


def test_the_same_name_twice_gets_a_number() -> None:
    files = [named("a.jpg"), named("A.png"), named("a (2).jpg"), named("a.gif")]
    assert names(files, Naming()) == ["a.png", "A (2).png", "a (2) (2).png", "a (3).png"]


def test_a_reserved_name_is_not_given_away() -> None:
    assert names([named("Manifest.jpg", ending="csv")], Naming(), ["manifest.csv"]) == ["Manifest (2).csv"]


def test_a_file_is_not_called_as_a_folder_is() -> None:
    files = [named("x.png.jpg"), named("y.jpg", folder="X.png")]
    assert names(files, Naming("{folder}/{name}")) == ["x.png.png", "X.png/y.png"]
    files = [named("x.jpg"), named("y.jpg", folder="X.png")]
    assert names(files, Naming("{folder}/{name}")) == ["x (2).png", "X.png/y.png"]


def test_ten_thousand_pictures_of_one_name_are_named_quickly() -> None:
    listed = names([named("IMG.jpg", number=n) for n in range(10_000)], Naming())
    assert (len(set(listed)), listed[-1]) == (10_000, "IMG (10000).png")


@pytest.mark.parametrize("pattern", ["", "{name}", "{folder}/{number} {name}", "{style}{sku}", "{folder}"])
def test_hostile_names_become_safe_and_unique(pattern: str) -> None:
    files = [named(name, folder, 3) for name in HOSTILE for folder in ("", name, "CON/..")]
    assert faults(names(files, Naming(pattern))) == []


def test_safe_names_stay_where_they_are_unpacked(tmp_path: Path) -> None:
    listed = names([named(name, name) for name in HOSTILE], Naming())
    _unpack_naively(listed, tmp_path / "zone/in/side")
    assert [str(path) for path in (tmp_path / "zone").rglob("*") if path.is_file()] == [
        str(path) for path in (tmp_path / "zone/in/side").rglob("*") if path.is_file()
    ]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(HOSTILE)


def test_control_names_used_as_they_are_leave_the_folder_and_overwrite(tmp_path: Path) -> None:
    raw = [name for name in HOSTILE if name.strip() and name.isprintable() and len(name.encode()) < 200]
    assert len(faults(raw)) > len(raw)
    raw = [name for name in raw if not name.startswith("/") and name.strip(".")]
    _unpack_naively(raw, tmp_path / "zone/in/side")
    assert (tmp_path / "zone/x.jpg").exists()  # ../../x.jpg
    assert len({name.casefold() for name in raw}) < len(raw)


def _unpack_naively(listed: list[str], folder: Path) -> None:
    """Write each name below the folder, as a careless program does."""
    for name in listed:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_a_zip_of_them_is_unpacked_under_these_very_names(tmp_path: Path) -> None:
    listed = names([named(name) for name in HOSTILE], Naming())
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for name in listed:
            archive.writestr(name, name)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")) == sorted(listed)


TEXTS = st.text(max_size=300) | st.sampled_from(HOSTILE)
FILES = st.builds(
    Named, TEXTS, TEXTS, st.integers(0, 10**6), st.text(max_size=80), st.just("png")
)  # fmt: skip
PATTERNS = st.lists(
    st.sampled_from([f"{{{field}}}" for field in naming.FIELDS])
    | st.sampled_from(["/", "-", " ", ".", "..", "a"]),
    max_size=8,
).map("".join)


@given(st.lists(FILES, min_size=1, max_size=12), PATTERNS)
@example([Named("", "", 0, "", "png")] * 3, "{folder}")
def test_any_names_become_safe_and_unique(files: list[Named], pattern: str) -> None:
    listed = names(files, Naming(checked_pattern(pattern)), ["manifest.csv"])
    assert len(listed) == len(files)
    assert faults(listed) == []
    assert names(files, Naming(checked_pattern(pattern)), ["manifest.csv"]) == listed


@given(st.text(string.ascii_letters + string.digits + "_- é", min_size=1, max_size=60))
def test_plain_names_are_kept(text: str) -> None:
    plain = unicodedata.normalize("NFC", text).strip()
    if plain and plain.lower() not in RESERVED:
        assert safe(text) == plain


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("heading", ["", "old{0}new\n", "Fichier{0}SKU\n"])
def test_a_list_is_read_as_spreadsheets_write_it(encoding: str, delimiter: str, heading: str) -> None:
    text = f'{heading}"Été, noir; 1.jpg"{{0}}SKU-1\nplain.jpg{{0}}"a ""b"""\n{{0}}\nalone\n\n'
    new = name_list.read(text.format(delimiter).encode(encoding))
    assert new == {"été, noir; 1.jpg": "SKU-1", "plain.jpg": 'a "b"'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sep=;\nA.jpg;1\n", {"a.jpg": "1"}),
        ("sku,file\n1,A.jpg\n", {"a.jpg": "1"}),
        ("a.jpg,Shoe; red\n", {"a.jpg": "Shoe; red"}),
        ("shoes\\red\\a.jpg,1", {"shoes/red/a.jpg": "1"}),
        ("a.jpg,1,rest\na.jpg,2\nb.jpg\nc.jpg,\n", {"a.jpg": "2"}),
        ("e\u0301.jpg,1", {"\u00e9.jpg": "1"}),
    ],
)
def test_lists_of_many_forms(text: str, expected: dict[str, str]) -> None:
    assert name_list.read(text.encode()) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a.jpg\nb.jpg\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"x" * (3 << 20),
        b"a.jpg,b\0c\n",
        "a.jpg,b\0c\n".encode("utf-16"),
        b"sep=\0\na.jpg\0b\n",
        b"a,b\n" * 10_001,
        b'"' + b"x" * 140_000,
    ],
)
def test_what_is_not_a_list_is_refused(content: bytes) -> None:
    with pytest.raises(NamingError):
        name_list.read(content)


@example(b'sep="\na.jpg"b\n')
@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_refused(content: bytes) -> None:
    try:
        new = name_list.read(content)
    except NamingError:
        return
    assert all(old or new for old, new in new.items())
    assert faults(names([named(old) for old in new], Naming("{sku}", new))) == []


@pytest.mark.parametrize("old", ["shoes/Photo.JPG", "photo.jpg", "PHOTO", "shoes/photo"])
def test_the_list_names_a_picture_by_any_of_its_names(old: str) -> None:
    new = name_list.read(f"{old},SKU/1.jpg".encode())
    assert of_one("{sku}", new, name="photo.jpg", folder="shoes") == "SKU_1.png"


def test_a_picture_that_the_list_has_not_keeps_its_name() -> None:
    assert of_one("{sku}", {"other.jpg": "1"}) == "photo.png"
