"""Check an uploaded picture before anything is stored or held for it."""

from functools import partial
from typing import Any, BinaryIO, cast
from uuid import uuid4

from django import forms
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from jobs.intake.submit import Upload
from jobs.intake.transcode import JPEG_SIDE, SeveralPicturesError, SideTooLongError, transcode
from jobs.renditions.decode_limit import DECODING
from pixian.imaging import decode
from pixian.imaging.decode import Header
from pixian.protocol import file_names
from pixian.protocol.errors import ApiError, Code, Refused, ServerFailed, TooComplex
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS
from pixian.protocol.options import Format

BAD_REQUEST, TOO_LARGE, BUSY = 400, 413, 503


class UploadRefusedError(Exception):
    """An upload that isn't valid. message: in the reader's language. status: of the HTTP response."""

    def __init__(self, message: str, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class UploadForm(forms.Form):
    """The ids that the page's script makes for a picture; a plain form has none."""

    request_id = forms.UUIDField(required=False)
    batch = forms.UUIDField(required=False)

    def upload(self, file: TemporaryUploadedFile, team_id: int) -> Upload:
        """Return a valid upload, with new ids in place of missing ones; raises UploadRefusedError.

        team_id: whose share of the memory the picture is checked in.
        """
        if not self.is_valid():
            messages = (str(message) for messages in self.errors.values() for message in messages)
            raise UploadRefusedError(" ".join(messages))
        ids: dict[str, Any] = self.cleaned_data
        picture = _picture(file, team_id)
        return Upload(
            **picture,
            name=file_names.clean(file.name or "") or file_names.UNNAMED,
            request_id=ids["request_id"] or uuid4(),
            batch=ids["batch"],
            options=master_options(picture["header"]),
        )


def _picture(file: TemporaryUploadedFile, team_id: int) -> dict[str, Any]:
    """Return an upload's picture as the upstream takes it, and what it was made from; raise as ``upload``."""
    _check_size(file)
    try:
        transcoded = transcode(cast("BinaryIO", file), partial(DECODING.reserve, team_id))
    except (Refused, ServerFailed) as error:
        raise _refusal(error) from error
    if transcoded is None:
        return {"file": file, "header": check_picture(file, team_id)}
    made_from = {"original": file, "original_ending": transcoded.ending}
    return {"file": transcoded.file, "header": transcoded.header} | made_from


def readable_picture(file: TemporaryUploadedFile, team_id: int) -> tuple[TemporaryUploadedFile, Header]:
    """Return a valid picture and its header; raises UploadRefusedError.

    A HEIC or AVIF is returned as the JPEG or PNG made from it. The caller closes the file.
    """
    picture = _picture(file, team_id)
    return picture["file"], picture["header"]


def master_options(header: Header) -> dict[str, str]:
    """Return the options of a browser's call, whose result is the master of all that is made of the picture.

    It is the plain cut-out in its full frame, as the difference to the source, which is at hand. A picture
    that the upstream shrinks can't be laid on its source again, so it comes whole.
    """
    fits = header.width * header.height <= MAX_PROCESSED_PIXELS
    return {"output.format": str(Format.DELTA_PNG)} if fits else {}


def check_picture(file: TemporaryUploadedFile, team_id: int) -> Header:
    """Return the header of a picture that is whole and within the limits; raises UploadRefusedError."""
    _check_size(file)
    try:
        return decode.check(cast("BinaryIO", file), partial(DECODING.reserve, team_id))
    except (Refused, ServerFailed) as error:
        raise _refusal(error) from error


def _check_size(file: TemporaryUploadedFile) -> None:
    if not file.size:
        raise UploadRefusedError(_("The file is empty."))
    if message := oversize_message(file.size):
        raise UploadRefusedError(message, TOO_LARGE)


def oversize_message(size: int, pixels: int = 0) -> str:
    """Return why a picture with this many bytes and pixels is too large; "" if it isn't."""
    if size > MAX_UPLOAD_BYTES:
        message = _("The file is %(size)s; the limit is %(limit)s.")
        return message % {"size": filesizeformat(size), "limit": filesizeformat(MAX_UPLOAD_BYTES)}
    if pixels > MAX_UPLOAD_PIXELS:
        message = _("The picture has too many pixels; the limit is %(limit)s megapixels.")
        return message % {"limit": MAX_UPLOAD_PIXELS // 1_000_000}
    return ""


def _refusal(error: ApiError) -> UploadRefusedError:
    """Return the contract's refusal in the reader's language."""
    if isinstance(error, ServerFailed):
        message = _("Too many large pictures are being read right now. Upload this one again in a minute.")
        return UploadRefusedError(message, BUSY)
    if isinstance(error, TooComplex):
        return UploadRefusedError(
            _(
                "This file is built in a way that takes too long to read. Save the picture again with "
                "an image editor, then upload that file."
            )
        )
    if isinstance(error, SeveralPicturesError):
        return UploadRefusedError(
            _(
                "This file contains several pictures, such as a burst or an animation. Save the one you "
                "want as a picture of its own, then upload that."
            )
        )
    if isinstance(error, SideTooLongError):
        message = _(
            "A side of the picture is longer than %(limit)s pixels. Crop or shrink it, then upload that."
        )
        limit = number_format(JPEG_SIDE, force_grouping=True)
        return UploadRefusedError(message % {"limit": limit}, TOO_LARGE)
    if error.code == Code.TOO_MANY_BYTES:
        message = _("As a PNG or JPEG this picture is larger than %(limit)s. Upload a smaller one.")
        return UploadRefusedError(message % {"limit": filesizeformat(MAX_UPLOAD_BYTES)}, TOO_LARGE)
    if error.code == Code.TOO_MANY_PIXELS:
        return UploadRefusedError(oversize_message(0, MAX_UPLOAD_PIXELS + 1), TOO_LARGE)
    return UploadRefusedError(
        _(
            "This isn't a picture we can read. Upload an undamaged JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF or "
            "BMP file."
        )
    )
