"""Name the files of a download: by a pattern, safe on every system, and each once. Pure.

A name may have folders, separated by ``/``. Whatever the pictures, presets and lists are called, it stays
inside the folder that a ZIP is unpacked to, and Windows, macOS and Linux can all write it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

from django.utils.translation import gettext as _

from pixian.protocol.file_names import UNNAMED

MAX_BYTES = 240
"""Of a whole name in UTF-8. Windows allows 260 characters to a path, the unpacking folder included."""

MAX_FOLDER_BYTES = 120
MAX_PATTERN = 200
FIELDS = ("name", "number", "style", "folder", "sku")
ONE_OUTPUT, SEVERAL_OUTPUTS = "{folder}/{name}", "{folder}/{name}-{style}"
CUT_OUT = "cutout"

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: devices, whatever the extension.
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
# Control and format characters (such as the right-to-left override), surrogates, and code points that no font
# shows. Spaces of any kind become ordinary ones.
INVISIBLE = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
# A field that is empty for a picture, such as its folder, and the separators that then separate nothing.
EMPTY = re.compile(r"^\0[ \-_.,]*|[ \-_.,]*\0")
PICTURE = re.compile(r"\.(jpe?g|png|webp|gif|tiff?|bmp|heic|heif|avif)$", re.IGNORECASE)


class NamingError(Exception):
    """A pattern or a list can't be used. message: in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class Naming:
    """The names of a batch's downloads. pattern: "" for the default; new_names: from a list, by ``key``."""

    pattern: str = ""
    new_names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> "Naming":
        return cls(str(stored.get("pattern", "")), dict(stored.get("new", {})))

    def dump(self) -> dict[str, Any]:
        return {"pattern": self.pattern, "new": dict(self.new_names)}

    def key_of(self, name: str, folder: str) -> str | None:
        """Return the key in the list of a picture, which it may name with its folder or ending or without."""
        if not self.new_names:
            return None
        wholes = (f"{folder}/{name}", name)
        candidates = (key(old) for whole in wholes for old in (whole, PICTURE.sub("", whole)))
        return next((old for old in candidates if old in self.new_names), None)


@dataclass(frozen=True)
class Named:
    """A file to name. number: of its picture in the batch; ending: without a dot."""

    name: str
    folder: str
    number: int
    style: str
    ending: str


def checked_pattern(pattern: str) -> str:
    """Return a pattern without superfluous spaces; raise NamingError if it has unknown or broken fields."""
    pattern = " ".join(pattern.split())
    pattern = PICTURE.sub("", pattern)  # the format decides on the ending
    if len(pattern) > MAX_PATTERN:
        raise NamingError(_("The pattern is longer than %(limit)s characters.") % {"limit": MAX_PATTERN})
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise NamingError(_("A brace in the pattern isn't closed: write it as in {name}.")) from error
    for _text, name, form, conversion in parts:
        if name is not None and (name not in FIELDS or form or conversion):
            message = _("The pattern has {%(field)s}, which isn't known. Use {name}, {number}, {style}, "
                        "{folder} and {sku}.")  # fmt: skip
            raise NamingError(message % {"field": name})
    return pattern


def default_pattern(outputs: int) -> str:
    """Return the pattern for pictures that become this many files each."""
    return SEVERAL_OUTPUTS if outputs > 1 else ONE_OUTPUT


def names(
    files: Sequence[Named], naming: Naming, reserved: Iterable[str] = (), highest: int = 0
) -> list[str]:
    """Return a name for each file, in their order, none of them twice and none of ``reserved``.

    They should be all files of a batch, so that a picture is called the same in each of its downloads.
    highest: a number that the batch has, if it is more than that of any file here.
    """
    pattern = naming.pattern or default_pattern(len({file.style for file in files}))
    digits = len(str(max([highest, *(file.number for file in files)])))
    paths = [_path(pattern, _fields(file, naming, digits)) for file in files]
    return list(_each_once(paths, [file.ending for file in files], reserved))


def safe(text: str, most: int = MAX_BYTES) -> str:
    """Return text as one component of a path, at most ``most`` bytes long; "" if nothing is left of it."""
    text = "".join(map(_plain, unicodedata.normalize("NFC", text)))
    text = _trimmed(FORBIDDEN.sub("_", text), most)
    return _trimmed(f"_{text}", most) if RESERVED.fullmatch(text.split(".")[0].strip()) else text


def key(name: str) -> str:
    """Return what is the same for two names that some file system can't tell apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def _fields(file: Named, naming: Naming, digits: int) -> dict[str, str]:
    stem = PICTURE.sub("", file.name)
    new = PICTURE.sub("", naming.new_names.get(naming.key_of(file.name, file.folder) or "", ""))
    fields = {
        "name": stem,
        "number": str(file.number).zfill(digits),
        "style": file.style or CUT_OUT,
        "sku": new or stem,
    }
    # Only a folder's own slashes separate folders.
    fields = {name: text.replace("/", "_").replace("\\", "_") for name, text in fields.items()}
    fields["folder"] = file.folder.replace("\\", "/")
    return {name: text.replace("\0", "") or "\0" for name, text in fields.items()}


def _path(pattern: str, fields: Mapping[str, str]) -> tuple[str, str]:
    """Return the safe folder, which may be "", and the safe name without its ending."""
    filled = pattern.replace("\\", "/").format_map(fields)
    *above, name = (safe(EMPTY.sub("", part), MAX_FOLDER_BYTES) for part in filled.split("/"))
    folders: list[str] = []
    for folder in reversed([folder for folder in above if folder]):
        if len("/".join([folder, *folders]).encode()) > MAX_FOLDER_BYTES:
            break
        folders.insert(0, folder)
    return "/".join(folders), name or UNNAMED


def _each_once(
    paths: Sequence[tuple[str, str]], endings: Sequence[str], reserved: Iterable[str]
) -> Iterator[str]:
    # A folder and a file can't have the same name either.
    taken = {key(name) for name in reserved}
    taken |= {key(str(parent)) for folder, _stem in paths for parent in _folders(folder)}
    numbers: dict[str, Iterator[int]] = {}
    for (folder, stem), ending in zip(paths, endings, strict=True):
        name = _joined(folder, stem, ending)
        while key(name) in taken:
            number = next(numbers.setdefault(key(_joined(folder, stem, ending)), count(2)))
            name = _joined(folder, stem, ending, f" ({number})")
        taken.add(key(name))
        yield name


def _folders(folder: str) -> Iterator[PurePosixPath]:
    path = PurePosixPath(folder)
    if folder:
        yield path
        yield from (parent for parent in path.parents if parent.name)


def _joined(folder: str, stem: str, ending: str, suffix: str = "") -> str:
    before, after = f"{folder}/" if folder else "", f"{suffix}.{ending}"
    room = MAX_BYTES - len(before.encode()) - len(after.encode())
    return f"{before}{_trimmed(stem, room) or UNNAMED}{after}"


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category in INVISIBLE:
        return " " if character in "\t\n\r\v\f" else ""
    return " " if category == "Zs" else character


def _trimmed(text: str, most: int) -> str:
    """Cut text to ``most`` bytes, and drop the spaces and dots that Windows drops too or that hide a file."""
    text = text.strip().lstrip(". ").encode()[:most].decode(errors="ignore")
    return text.rstrip(". ")
