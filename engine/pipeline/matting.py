"""From a picture to its matte: the network says where the foreground is, the guided filter where it ends."""

import cv2
import numpy as np

from engine.models.spec import Model
from engine.pipeline.guided_filter import Bytes, Floats, apply, coefficients
from engine.pipeline.inference import Runtime

WORKING_SIDE = 1024
"""The filter's coefficients are computed with the longer side at most this long: three times the
network's own side, beyond which they only get slower. They are then applied at full size."""

RADIUS = 2.5
"""In pixels of a 320 pixel wide mask. Of 1 to 4 the wider measures the better (``bench.quality.fidelity``),
but from 3 on the whiskers of a real cat drown in a veil of what was between them."""

EPSILON = 1e-4
"""The guided filter's own: 1e-3 softens hair, and 1e-5 measures worse."""

NOTHING_FOUND = 0.3
"""A mask whose peak is below this shows no foreground; stretching it would show noise. Plain pictures
give 0.01 to 0.16, the faintest real subject seen 0.97."""

CERTAIN_BACKGROUND, CERTAIN_FOREGROUND = 0.05, 0.95
"""What the filter leaves beyond these becomes exactly 0 and 255: averaging never reaches them itself."""


class Matting:
    """Makes mattes with one network. Safe to share between threads."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self._runtime = runtime
        self._side = model.input_size
        self._mean = np.array(model.mean, np.float32)
        self._std = np.array(model.std, np.float32)
        self._logits = model.logits

    def matte(self, picture: Bytes) -> Bytes:
        """The alpha uint8[H, W] of an RGB or RGBX picture uint8[H, W, 3 or 4]; a fourth channel isn't
        looked at."""
        height, width = picture.shape[:2]
        scale = min(1, WORKING_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = _shrunk(picture, size)
        mask = self.mask(small)
        if mask is None:
            return np.zeros((height, width), np.uint8)
        guide = small.astype(np.float32) / np.float32(255)
        enlarged = np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 0, 1, dtype=np.float32)
        radius = max(1, round(RADIUS * max(size) / 320))
        return apply(_for_bytes(coefficients(guide, enlarged, radius, EPSILON)), picture)

    def mask(self, picture: Bytes) -> Floats | None:
        """Where the network sees the foreground, float32[side, side], 0 to 1; None if nowhere."""
        output = self._runtime.infer(self._planes(picture))
        if self._logits:
            output = np.reciprocal(1 + np.exp(-output))
        low, high = output.min(), output.max()
        # The second is also true of a NaN.
        if high < NOTHING_FOUND or not high > low:
            return None
        return np.asarray((output - low) / (high - low), np.float32)

    def _planes(self, picture: Bytes) -> Floats:
        """The network's input, float32[1, 3, side, side]."""
        small = _shrunk(picture, (self._side, self._side)).astype(np.float32)
        # By the brightest value rather than 255, as the networks' training did.
        normalised = (small / max(small.max(), 1) - self._mean) / self._std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[np.newaxis], np.float32)


def _shrunk(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """The picture's first three channels at ``size``, width and height."""
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., :3], np.uint8)


def _for_bytes(planes: Floats) -> Floats:
    """Coefficients from bytes to bytes, with what is certain stretched to 0 and 255; in place."""
    stretch = 1 / (CERTAIN_FOREGROUND - CERTAIN_BACKGROUND)
    planes[3] -= CERTAIN_BACKGROUND
    planes[:3] *= stretch
    planes[3] *= stretch * 255
    return planes
