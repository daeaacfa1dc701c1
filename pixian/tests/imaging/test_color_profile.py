"""The colours of a PNG: every kind of pixel, depth, profile and transparency, as Chromium shows them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixian.imaging.convert import Pixels, WorkingCopy, working_copy
from pixian.imaging.decode import decode, open_picture
from pixian.tests.imaging.format_cases import PATCH, Patched, patched
from pixian.tests.imaging.png_cases import Case, png_table
from pixian.tests.imaging.tiff_cases import tiffs

TABLE = list(png_table())


def copy_of(content: bytes) -> WorkingCopy:
    image, header = open_picture(io.BytesIO(content))
    decode(image)
    return working_copy(image, header.orientation, header.pixels)


def as_seen(copy: WorkingCopy) -> Pixels:
    """In sRGB: the profile that the result keeps is applied."""
    if copy.profile is None:
        return copy.pixels
    profile = ImageCms.ImageCmsProfile(io.BytesIO(copy.profile))
    color = Image.fromarray(np.ascontiguousarray(copy.pixels[..., :3]))
    shown = ImageCms.profileToProfile(color, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.dstack([np.asarray(shown), copy.pixels[..., 3]])


def assert_same(ours: Pixels, theirs: Pixels, by: int = 1, name: str = "") -> None:
    """Alpha to the bit; colours, where anything is seen, to so many levels."""
    assert ours.shape == theirs.shape, name
    np.testing.assert_array_equal(ours[..., 3], theirs[..., 3], name)
    seen = theirs[..., 3] > 0
    off = np.abs(ours.astype(int) - theirs)[seen].max(initial=0)
    assert off <= by, f"{name}: {ours[0].tolist()} and {theirs[0].tolist()}"


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_every_kind_of_png_is_seen_as_it_is_meant(case: Case) -> None:
    assert_same(as_seen(copy_of(case.content)), case.seen)


def patches_seen(pixels: Pixels) -> Pixels:
    """The middle of each patch."""
    return pixels[PATCH // 2, PATCH // 2 :: PATCH][None]


@pytest.mark.parametrize("case", list(patched()), ids=lambda case: case.name)
def test_every_other_format_is_seen_as_it_is_meant(case: Patched) -> None:
    ours = patches_seen(as_seen(copy_of(case.content)))
    assert_same(ours, np.array([case.seen], np.uint8), case.by)


@pytest.mark.parametrize("case", list(tiffs()), ids=lambda case: case.name)
def test_every_kind_of_tiff_is_seen_as_it_is_meant(case: Patched) -> None:
    ours = patches_seen(as_seen(copy_of(case.content)))
    assert_same(ours, np.array([case.seen], np.uint8), case.by)
