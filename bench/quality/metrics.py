"""How far a cut-out is from the true one. Everything here is an error but ``iou``."""

from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from engine.pipeline.guided_filter import Bytes, Floats

Mask = npt.NDArray[np.bool_]

BAND = 0.008
"""The edge band reaches so far beyond the true soft edge, as a part of the picture's longer side."""

NEW_GROUNDS = ((255, 255, 255), (0, 0, 0), (0, 200, 60), (230, 0, 160))


@dataclass(frozen=True)
class Errors:
    """mae, band: mean |alpha error|, in thousandths, over all pixels and over the edge band.
    gradient: mean squared error of the gradient's magnitude over the band, in thousandths, after Rhemann
    et al., "A perceptually motivated online benchmark for image matting" (CVPR 2009).
    colour: mean |foreground error| over the band, 0 to 255, weighed by the lesser of both alphas: what
    is wrongly transparent has a colour that nobody sees.
    relaid: mean error over the band, 0 to 255, of the picture laid on four new backgrounds: what is seen."""

    iou: float
    mae: float
    gradient: float
    band: float
    colour: float
    relaid: float


NAMES = tuple(field.name for field in fields(Errors))


def errors(alpha: Bytes, foreground: Bytes, true_alpha: Floats, true_foreground: Floats) -> Errors:
    """Of alpha uint8[H, W] with colours uint8[H, W, 3], straight, against the truth of a Scene."""
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
    """Where the true alpha is neither 0 nor 1, and a little further."""
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
    grounds = np.array(NEW_GROUNDS, np.float32)
    return float(np.mean([np.abs(seen + uncovered * ground).mean() for ground in grounds]))
