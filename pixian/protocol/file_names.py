"""File names: the client's word for a picture, made safe to store, to show and to put into a header."""

import re
import unicodedata
from pathlib import PurePath
from urllib.parse import quote

UNNAMED = "picture"
MAX_LENGTH = 255
ENDINGS = {"image/png": "png", "image/jpeg": "jpg"}

# Browsers escape these three in a form's file names, and nothing else.
ESCAPED = {"%22": '"', "%0d": "\r", "%0a": "\n"}
ESCAPE = re.compile("|".join(ESCAPED), re.IGNORECASE)
DRIVES = re.compile(r"^(?:[A-Za-z]:)+")

# What RFC 5987 lets stand in an extended value besides letters and digits.
UNQUOTED = "!#$&+-.^_`|~"


def clean(text: str) -> str:
    """Return the last part of a path, printable and short enough to be stored, its ending kept; "" where
    nothing is left."""
    text = ESCAPE.sub(lambda escape: ESCAPED[escape[0].lower()], text)
    name = text.replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable())
    name = DRIVES.sub("", name.strip()).strip()
    if len(name) > MAX_LENGTH:
        ending = PurePath(name).suffix[:20]
        name = name[: MAX_LENGTH - len(ending)] + ending
    return "" if name in (".", "..") else name


def cut_out_name(original: str, ending: str, *, delta: bool = False) -> str:
    """Return the name of a result's file, after its original's."""
    kind = "delta" if delta else "cutout"
    return f"{PurePath(clean(original)).stem or UNNAMED}-{kind}.{ending}"


def attachment(name: str) -> str:
    """Return a Content-Disposition for a download (RFC 6266): an ASCII name that every client reads, and the
    whole one beside it where that says more."""
    name = clean(name) or UNNAMED
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'["\\%]', "_", plain)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe=UNQUOTED)}"
