"""Shadows, made from the outline of a cut-out alone: the photo's own shadow went with its background."""

from dataclasses import dataclass
from enum import StrEnum
from math import hypot

import cv2
import numpy as np
import numpy.typing as npt

from pixian.imaging.convert import Pixels
from pixian.imaging.layout import Box

Floats = npt.NDArray[np.float32]

WORKING_EDGE = 800
"""Shadows are made at this size at most, and enlarged: they have no detail."""

OPAQUE = 255

# Lengths are parts of the subject's size, the geometric mean of its sides; opacities are at full strength.
NEAR = 0.012, 0.012, 0.35
"""Of a soft shadow: how far it is moved down, its standard deviation, its opacity."""

FAR = 0.045, 0.05, 0.55
CONTACT_HEIGHT = 0.07  # of the subject's height: what is this near to the ground casts a shadow on it
CORE = 0.014, 0.014, 0.007, 0.8
"""Of a contact shadow: the thickness of its plate, which lies half under the subject, its standard deviations
across and down, and its opacity."""

AMBIENT = 0.06, 0.05, 0.025, 0.75


class Kind(StrEnum):
    SOFT = "soft"
    CONTACT = "contact"


@dataclass(frozen=True)
class Shadow:
    """A shadow's kind, and its strength in percent, 1 to 100."""

    kind: Kind
    strength: int


def cast_shadow(alpha: Pixels, subject: Box, shadow: Shadow) -> Pixels:
    """Return the opacity of the shadow, uint8[H, W], of a canvas.

    alpha: uint8[H, W] of the canvas. subject: the box of its visible pixels. The shadow ends where the canvas
    does.
    """
    height, width = alpha.shape
    scale = min(1, WORKING_EDGE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(alpha), size, interpolation=cv2.INTER_AREA)
    outline = np.asarray(small, np.float32).reshape(size[1], size[0]) / np.float32(OPAQUE)
    box = subject.scaled(size[0] / width, size[1] / height, size)
    make = {Kind.SOFT: _soft, Kind.CONTACT: _contact}[shadow.kind]
    opacity = np.clip(make(outline, box) * shadow.strength / 100, 0, 1)
    whole = cv2.resize(
        np.rint(opacity * OPAQUE).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(whole, np.uint8)


def _soft(outline: Floats, box: Box) -> Floats:
    """Return the shadow of light from above, which a subject before a wall casts."""
    unit = max(1.0, hypot(box.width, box.height) / 2**0.5)
    light = np.ones_like(outline)
    for down, deviation, opacity in (NEAR, FAR):
        light *= 1 - opacity * _blurred(_moved(outline, down * unit), deviation * unit, deviation * unit)
    return 1 - light


def _contact(outline: Floats, box: Box) -> Floats:
    """Return the shadow on the ground, under what stands on it."""
    unit = max(1.0, (box.width * box.height) ** 0.5)
    light = np.ones_like(outline)
    for thickness, across, down, opacity in (CORE, AMBIENT):
        plate = _plate(outline, box, max(1.0, thickness * unit))
        light *= 1 - opacity * _blurred(plate, across * unit, down * unit)
    return 1 - light


def _plate(outline: Floats, box: Box, thickness: float) -> Floats:
    """Return a flat area along the subject's lower edge, which fades where that rises from the ground."""
    solid = outline > 0.5
    rows = np.arange(len(outline))[:, None]
    lowest = np.where(solid, rows, -1).max(axis=0)
    rise = (box.bottom - 1 - lowest) / max(1.0, CONTACT_HEIGHT * box.height)
    weight = np.where(lowest >= 0, np.exp(-(rise**2)), 0).astype(np.float32)
    near = np.abs(rows - lowest) <= thickness / 2
    return np.asarray(near * weight, np.float32)


def _moved(plane: Floats, down: float) -> Floats:
    matrix = np.array(((1, 0, 0), (0, 1, down)), np.float32)
    moved = cv2.warpAffine(plane, matrix, plane.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _blurred(plane: Floats, across: float, down: float) -> Floats:
    # A subject that the canvas cuts off goes on beyond it, and so does its shadow.
    soft = cv2.GaussianBlur(
        plane, (0, 0), max(across, 0.3), sigmaY=max(down, 0.3), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(soft, np.float32)
