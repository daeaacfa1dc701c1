"""Compose a cut-out in a style, in full size or small."""

from collections.abc import Callable

from django.utils import translation
from django.utils.translation import gettext_noop

from jobs.models import Backdrop
from jobs.renditions import backdrops
from jobs.renditions.style import Background, Format, Style
from jobs.renditions.style_fields import Shadow as ShadowName
from pixian.imaging import encode
from pixian.imaging.backdrop import blurred
from pixian.imaging.convert import Pixels, WorkingCopy
from pixian.imaging.layout import Layout
from pixian.imaging.restyle import Effects, restyle
from pixian.imaging.shadow import Kind, Shadow
from pixian.protocol.errors import Code, Refused

DAMAGED = gettext_noop("The picture's files are damaged or missing. An operator needs to check the storage.")
TOO_LARGE = gettext_noop("In this style the picture would be too large. Choose a smaller size or margin.")
NO_BACKDROP = gettext_noop("The background picture was deleted. Choose another one for this style.")


class RenditionError(Exception):
    """A rendition that can't be made. message: in English, as its row keeps it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def translated(self) -> str:
        """Return the message in the reader's language."""
        return translation.gettext(self.message)

    @classmethod
    def of(cls, error: Exception) -> "RenditionError":
        """Return what a refusal of ``pixian.imaging``, or a missing file, means for people."""
        is_too_large = isinstance(error, Refused) and error.code == Code.RESULT_TOO_LARGE
        return cls(TOO_LARGE if is_too_large else DAMAGED)


def backdrop_of(style: Style, team_id: int) -> Backdrop | None:
    """Return the picture behind it; raise RenditionError if the team has deleted it."""
    if style.background is not Background.PICTURE:
        return None
    try:
        return backdrops.find(team_id, style.backdrop)
    except FileNotFoundError as error:
        raise RenditionError(NO_BACKDROP) from error


def compose(
    cut_out: WorkingCopy,
    layout: Layout,
    style: Style,
    backdrop: Backdrop | None,
    original: Callable[[], WorkingCopy],
) -> tuple[Pixels, bool]:
    """Return the composed picture, and True if it is opaque.

    original: gives the photo, for its blurred copy, in the size of the cut-out; in any other size, its
    subject stays in it. Raises RenditionError if the background picture's file is gone.
    """
    shadow = None
    if style.shadow is not ShadowName.NONE:
        shadow = Shadow(Kind(str(style.shadow)), style.strength)
    picture = None
    if backdrop:
        picture = _pixels(backdrop, layout)
    elif style.background is Background.BLUR:
        picture = _blurred(cut_out, original(), style.blur)
    is_own = style.background is Background.BLUR
    effects = Effects(fill=style.fill, backdrop=picture, is_own=is_own, shadow=shadow)
    return restyle(cut_out.pixels, layout, effects, cut_out.profile), effects.is_opaque


def encoded(pixels: Pixels, style: Style, profile: bytes | None, *, is_opaque: bool) -> bytes:
    """Encode a composed picture, whose layout is the style's own, in the style's format."""
    if style.format is Format.JPEG:
        return encode.jpeg(pixels, style.quality, profile)
    if style.format is Format.WEBP:
        return encode.webp(pixels, style.quality, profile)
    if is_opaque:
        return encode.opaque_png(pixels, profile)
    return encode.encode(pixels, style.options, profile)


def _pixels(backdrop: Backdrop, layout: Layout) -> Pixels:
    try:
        return backdrops.pixels(backdrop, layout.size)
    except (FileNotFoundError, Refused) as error:
        raise RenditionError(NO_BACKDROP) from error


def _blurred(cut_out: WorkingCopy, original: WorkingCopy, strength: int) -> Pixels:
    same_size = original.pixels.shape == cut_out.pixels.shape
    return blurred(original.pixels, cut_out.pixels[..., 3] if same_size else None, strength)
