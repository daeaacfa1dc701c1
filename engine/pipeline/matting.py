"""Matting: the network locates the foreground, and the guided filter aligns the matte with its edges."""

import cv2
import numpy as np

from engine.models.spec import Model
from engine.pipeline.guided_filter import Bytes, Floats, apply, coefficients
from engine.pipeline.inference import Runtime

WORKING_SIDE = 1024
"""Longest side, in pixels, at which the filter's coefficients are computed: about three times the network's
input. A larger one only takes longer. They are then applied at full size."""

RADIUS = 2.5
"""Radius of the filter in pixels of a mask 320 pixels wide. From 1 to 4, a larger one measures better
(``bench.quality.fidelity``); but from 3 up, the background between a cat's whiskers shows as a veil."""

EPSILON = 1e-4
"""The guided filter's epsilon. With 1e-3 hair gets soft; 1e-5 measures worse."""

NOTHING_FOUND = 0.3
"""A mask with a lower peak than this has no foreground, and normalising it would amplify noise. Plain
pictures peak at 0.01 to 0.16, and the faintest real subject seen at 0.97."""

CERTAIN_BACKGROUND, CERTAIN_FOREGROUND = 0.05, 0.95
"""Values beyond these become exactly 0 and 255, which the filter's averages never reach by themselves."""


class Matting:
    """Computes mattes with one network. Safe to share between threads."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self._runtime = runtime
        self._side = model.input_size
        self._mean = np.array(model.mean, np.float32)
        self._std = np.array(model.std, np.float32)
        self._logits = model.logits

    def matte(self, picture: Bytes) -> Bytes:
        """Return the matte uint8[H, W] of an RGB or RGBX picture uint8[H, W, 3 or 4]."""
        height, width = picture.shape[:2]
        scale = min(1, WORKING_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = _shrink(picture, size)
        mask = self.mask(small)
        if mask is None:
            return np.zeros((height, width), np.uint8)
        guide = small.astype(np.float32) / np.float32(255)
        enlarged = np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 0, 1, dtype=np.float32)
        radius = max(1, round(RADIUS * max(size) / 320))
        planes = coefficients(guide, enlarged, radius, EPSILON)
        _scale_to_bytes(planes)
        return apply(planes, picture)

    def mask(self, picture: Bytes) -> Floats | None:
        """Return the network's mask float32[side, side], 0 to 1; None if it finds no foreground."""
        output = self._runtime.infer(self._input(picture))
        if self._logits:
            output = np.reciprocal(1 + np.exp(-output))
        low, high = output.min(), output.max()
        # ``not high > low``, unlike ``high <= low``, is also true for NaN.
        if high < NOTHING_FOUND or not high > low:
            return None
        return np.asarray((output - low) / (high - low), np.float32)

    def _input(self, picture: Bytes) -> Floats:
        """Return the network's input, float32[1, 3, side, side]."""
        small = _shrink(picture, (self._side, self._side)).astype(np.float32)
        # Divided by the brightest value rather than 255, as in the networks' training.
        normalised = (small / max(small.max(), 1) - self._mean) / self._std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[np.newaxis], np.float32)


def _shrink(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Return the picture's first three channels at a width and height."""
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., :3], np.uint8)


def _scale_to_bytes(planes: Floats) -> None:
    """Rescale coefficients in place to map bytes to bytes, and the certain values to 0 and 255."""
    stretch = 1 / (CERTAIN_FOREGROUND - CERTAIN_BACKGROUND)
    planes[3] -= CERTAIN_BACKGROUND
    planes[:3] *= stretch
    planes[3] *= stretch * 255
