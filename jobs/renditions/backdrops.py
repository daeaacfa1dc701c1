"""Pictures that a team puts behind its cut-outs: checked as any picture, and found by their hash."""

from typing import BinaryIO, cast
from uuid import uuid4

import numpy as np
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Membership, Role, Team, User
from jobs.models import Backdrop
from jobs.renditions.previews import QUALITY, shrunk
from jobs.storage import files
from pixian.imaging import convert, decode, encode
from pixian.imaging.color_profile import picture_to_srgb
from pixian.imaging.containers import webp
from pixian.imaging.convert import Pixels
from pixian.imaging.decode import Header
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_PROCESSED_PIXELS

FOLDER = "backdrops"
BYTES_PER_PIXEL = webp.BYTES_PER_PIXEL
"""While it is decoded and converted, which takes 12 in most other formats."""


def store(team: Team, user: User, file: TemporaryUploadedFile, header: Header, name: str) -> Backdrop:
    """Keep a picture that was checked; return the team's own one if it has the same already."""
    digest = files.sha256(file)
    if known := Backdrop.objects.filter(team=team, sha256=digest).first():
        return known
    # No other row ever has this name. A later team may have this one's slug and the same picture, and a
    # bucket has one file by each name: whoever deletes one would delete both.
    stored = files.put(f"{team.slug}/{FOLDER}/{uuid4().hex}.{header.format.lower()}", file)
    columns = {"file": stored, "width": header.width, "height": header.height, "added_by": user, "name": name}
    try:
        with transaction.atomic():
            return Backdrop.objects.create(team=team, sha256=digest, **columns)
    except IntegrityError:  # the same picture came twice at once, and was stored twice
        default_storage.delete(stored)
        return Backdrop.objects.get(team=team, sha256=digest)


def delete(backdrop: Backdrop) -> None:
    """Delete the picture. Renditions that need it can't be made any more, and say so."""
    name = str(backdrop.file)
    backdrop.delete()
    if not Backdrop.objects.filter(file=name).exists():  # named by its hash, as an earlier release did it
        default_storage.delete(name)


def may_delete(member: Membership, backdrop: Backdrop) -> bool:
    """Return True if the member manages the team, or added the picture."""
    is_own = member.role >= Role.MEMBER and backdrop.added_by_id == member.user_id
    return is_own or member.role >= Role.MANAGER


def check_may_delete(member: Membership, backdrop: Backdrop) -> None:
    """Raise PermissionDenied unless the member may delete the picture."""
    if not may_delete(member, backdrop):
        raise PermissionDenied(_("Only managers and the person who added this picture may delete it."))


def thumbnail(backdrop: Backdrop, edge: int) -> bytes:
    """Return a WebP of at most ``edge`` pixels a side, without metadata.

    Raises as ``pixels`` does, and ServerFailed 503/-3 if too many pictures are being read.
    """
    with backdrop.file.open() as file:
        small, profile = shrunk(backdrop.team_id, cast("BinaryIO", file), edge)
    return encode.webp(convert.rgba(small), QUALITY, profile)


def find(team_id: int, digest: str) -> Backdrop:
    """Return the team's picture with this hash; raise FileNotFoundError if it is gone."""
    if backdrop := Backdrop.objects.filter(team=team_id, sha256=digest).first():
        return backdrop
    raise FileNotFoundError(digest)


def size_of(team_id: int, digest: str) -> int:
    """Return the number of pixels of the team's picture with this hash; 0 if it is gone."""
    sizes = Backdrop.objects.filter(team=team_id, sha256=digest).values_list("width", "height")
    return max((width * height for width, height in sizes), default=0)


def pixels(backdrop: Backdrop, canvas: Size) -> Pixels:
    """Return the picture in sRGB, upright, in a size that covers the canvas if it is large enough.

    The caller has reserved the memory. Raises FileNotFoundError if the file is gone, and Refused if it is
    damaged.
    """
    with backdrop.file.open() as file:
        image, header = decode.open_picture(cast("BinaryIO", file))
        edge = max(canvas)
        image.draft(None, (edge, edge))  # for a JPEG: a half, a quarter or an eighth is much faster to decode
        decode.decode(image)
        copy = convert.working_copy(image, header.orientation, MAX_PROCESSED_PIXELS)
        return picture_to_srgb(np.ascontiguousarray(copy.pixels[..., :3]), copy.profile)
