"""Error metrics of a cut-out against the true one. For all but ``iou``, lower is better."""

from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from engine.pipeline.guided_filter import Bytes, Floats

Mask = npt.NDArray[np.bool_]

BAND = 0.008
"""Width of the edge band beyond the true soft edge, as a fraction of the picture's longer side."""

NEW_BACKGROUNDS = ((255, 255, 255), (0, 0, 0), (0, 200, 60), (230, 0, 160))


@dataclass(frozen=True)
class Errors:
    """The errors of one cut-out.

    mae, band: mean absolute alpha error over all pixels and over the edge band, in thousandths.
    gradient: mean squared error of the gradient's magnitude over the band, in thousandths, after Rhemann
    et al., "A perceptually motivated online benchmark for image matting" (CVPR 2009).
    colour: mean absolute foreground error over the band, 0 to 255, weighted by the smaller of the two alphas,
    since the colour of a wrongly transparent pixel is invisible.
    relaid: mean visible error over the band, 0 to 255, of the cut-out on four new backgrounds.
    """

    iou: float
    mae: float
    gradient: float
    band: float
    colour: float
    relaid: float


NAMES = tuple(field.name for field in fields(Errors))


def errors(alpha: Bytes, foreground: Bytes, true_alpha: Floats, true_foreground: Floats) -> Errors:
    """Measure alpha uint8[H, W] and straight colours uint8[H, W, 3] against the truth of a Scene."""
    ours = alpha.astype(np.float32) / np.float32(255)
    band = edge_band(true_alpha)
    difference = np.abs(ours - true_alpha)
    steps = (_gradient(ours) - _gradient(true_alpha)) ** 2
    off = np.abs(foreground.astype(np.float32) - true_foreground).mean(axis=2)[band]
    weight = np.minimum(true_alpha, ours)[band]
    return Errors(
        iou=_iou(ours > 0.5, true_alpha > 0.5),
        mae=1000 * float(difference.mean()),
        gradient=1000 * float(steps[band].mean()),
        band=1000 * float(difference[band].mean()),
        colour=float((off * weight).sum() / max(1e-6, weight.sum())),
        relaid=_relaid(ours[band], foreground[band], true_alpha[band], true_foreground[band]),
    )


def edge_band(alpha: Floats) -> Mask:
    """Return the mask of pixels where the true alpha is neither 0 nor 1, widened by BAND."""
    soft = ((alpha > 0.02) & (alpha < 0.98)).astype(np.uint8)
    side = 2 * max(2, round(BAND * max(alpha.shape))) + 1
    return cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0


def _iou(ours: Mask, true: Mask) -> float:
    return float((ours & true).sum() / max(1, (ours | true).sum()))


def _gradient(alpha: Floats) -> Floats:
    smooth = cv2.GaussianBlur(alpha, (0, 0), 1.4)
    across, down = (
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8),
        cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8),
    )
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _relaid(alpha: Floats, colours: Bytes, true_alpha: Floats, true_colours: Floats) -> float:
    part, true_part = alpha[:, np.newaxis], true_alpha[:, np.newaxis]
    seen, uncovered = part * colours - true_part * true_colours, true_part - part
    backgrounds = np.array(NEW_BACKGROUNDS, np.float32)
    return float(np.mean([np.abs(seen + uncovered * color).mean() for color in backgrounds]))
