"""File names from clients, made safe to store, to show and to send in a header."""

import re
import unicodedata
from pathlib import PurePath
from urllib.parse import quote

UNNAMED = "picture"
MAX_LENGTH = 255
ENDINGS = {"image/png": "png", "image/jpeg": "jpg"}

# Browsers escape these three characters in a form's file names, and no others.
ESCAPED = {"%22": '"', "%0d": "\r", "%0a": "\n"}
ESCAPE = re.compile("|".join(ESCAPED), re.IGNORECASE)
DRIVES = re.compile(r"^(?:\s*[A-Za-z]:)+")

# The characters besides letters and digits that RFC 5987 allows unescaped in an extended value.
UNQUOTED = "!#$&+-.^_`|~"


def clean(text: str) -> str:
    """Return the last component of a path, without unprintable characters and at most MAX_LENGTH long.

    A name that is too long keeps its extension. Returns "" if nothing is left.
    """
    text = ESCAPE.sub(lambda escape: ESCAPED[escape[0].lower()], text)
    name = text.replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable())
    name = DRIVES.sub("", name.strip()).strip()
    if len(name) > MAX_LENGTH:
        ending = PurePath(name).suffix[:20]
        name = name[: MAX_LENGTH - len(ending)] + ending
    return "" if name in (".", "..") else name


def cut_out_name(original: str, ending: str, *, delta: bool = False) -> str:
    """Return the file name of a result: ``photo.jpeg`` becomes ``photo-cutout.png``."""
    kind = "delta" if delta else "cutout"
    return f"{PurePath(clean(original)).stem or UNNAMED}-{kind}.{ending}"


def attachment(name: str) -> str:
    """Return the Content-Disposition header of a download (RFC 6266).

    It has an ASCII name for every client, and the full name beside it if the two differ.
    """
    name = clean(name) or UNNAMED
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # Cleaned again: wide forms of slashes, dots and colons have become plain ones.
    plain = clean(plain) or UNNAMED
    plain = re.sub(r'["\\%]', "_", plain)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe=UNQUOTED)}"
