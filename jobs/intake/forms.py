"""What a valid upload is; nothing invalid passes."""

from functools import partial
from typing import Any, BinaryIO, cast
from uuid import uuid4

from django import forms
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.intake.submit import Upload
from jobs.renditions.decode_limit import DECODING
from pixian.imaging import decode
from pixian.protocol import file_names
from pixian.protocol.errors import ApiError, Code, Refused, ServerFailed, TooComplex
from pixian.protocol.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS

STATUS_OF = {"too_large": 413, "busy": 503}


class UploadForm(forms.Form):
    """One picture. ``request_id`` and ``batch`` come from the page's script; a plain form has none.

    team: its id, whose memory the picture is checked in.
    """

    image = forms.FileField(
        error_messages={
            "required": gettext_lazy("Choose a picture first."),
            "empty": gettext_lazy("The file is empty."),
        }
    )
    request_id = forms.UUIDField(required=False)
    batch = forms.UUIDField(required=False)

    def __init__(self, *args: Any, team: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._team = team

    def clean_image(self) -> TemporaryUploadedFile:
        file: TemporaryUploadedFile = self.cleaned_data["image"]
        size = file.size or 0
        if size > MAX_UPLOAD_BYTES:
            message = _("The file is %(size)s; the limit is %(limit)s.")
            raise forms.ValidationError(
                message,
                "too_large",
                {"size": filesizeformat(size), "limit": filesizeformat(MAX_UPLOAD_BYTES)},
            )
        try:
            self.header = decode.check(cast("BinaryIO", file), partial(DECODING.reserve, self._team))
        except (Refused, ServerFailed) as error:
            raise _told(error) from error
        return file

    @property
    def status(self) -> int:
        """The HTTP status of an invalid form."""
        codes = [error.code for errors in self.errors.as_data().values() for error in errors]
        return max((STATUS_OF.get(code or "", 400) for code in codes), default=400)

    @property
    def message(self) -> str:
        """Everything that is wrong, as one text."""
        return " ".join(str(message) for messages in self.errors.values() for message in messages)

    def upload(self) -> Upload:
        """The valid upload; ids that the sender left out are made here."""
        clean: dict[str, Any] = self.cleaned_data
        return Upload(
            file=clean["image"],
            header=self.header,
            name=file_names.clean(clean["image"].name) or file_names.UNNAMED,
            request_id=clean["request_id"] or uuid4(),
            batch=clean["batch"] or uuid4(),
        )


def _told(error: ApiError) -> forms.ValidationError:
    """The contract's refusal in the reader's language."""
    if isinstance(error, ServerFailed):
        message = _("Too many large pictures are being read right now. Upload this one again in a minute.")
        return forms.ValidationError(message, "busy")
    if isinstance(error, TooComplex):
        return forms.ValidationError(
            _(
                "This file is built in a way that takes too long to read. Save the picture again with "
                "an image editor, then upload that file."
            )
        )
    if error.code == Code.TOO_MANY_PIXELS:
        message = _("The picture has too many pixels; the limit is %(limit)s megapixels.")
        return forms.ValidationError(message, "too_large", {"limit": MAX_UPLOAD_PIXELS // 1_000_000})
    return forms.ValidationError(
        _("This isn't a picture we can read. Upload an undamaged JPEG, PNG, WebP, TIFF, GIF or BMP file.")
    )
