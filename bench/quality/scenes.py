"""Synthetic photos: a cut-out composited onto a real photo, so that true alpha and foreground are known.

Emoji have smooth outlines, and settings tuned on them alone would destroy real hair. So every other scene has
strands of hair drawn along its subject's outline. Blending is in sRGB values, as browsers and editors do it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.quality import dataset
from engine.pipeline.guided_filter import Bytes, Floats

SIDES = (700, 1000, 1600)
"""Longer sides of the scenes, in pixels: below, at and above the engine's working size."""

STRANDS = 260
OVERSAMPLING = 4


@dataclass(frozen=True)
class Scene:
    """A synthetic photo with its truth.

    picture: RGB uint8[H, W, 3]. alpha: float32[H, W], 0 to 1. foreground: RGB float32[H, W, 3], 0 to 255,
    meaningless where alpha is 0. held_out: belongs to the half that nothing is tuned on.
    """

    name: str
    held_out: bool
    hairy: bool
    picture: Bytes
    alpha: Floats
    foreground: Floats


def scenes(count: int, seed: int = 0, cache: Path = dataset.CACHE) -> Iterator[Scene]:
    """Yield ``count`` scenes, the same ones for the same seed."""
    # A hash of the name orders the subjects, and later assigns the halves, independently of the seed.
    subjects = sorted(dataset.cut_outs(cache), key=lambda subject: _hash(subject[0]))
    textures, places = (dataset.backgrounds(names, cache) for names in (dataset.TEXTURES, dataset.PLACES))
    for index, (name, subject) in enumerate(subjects[:count]):
        random = np.random.default_rng([seed, index])
        if random.random() < 0.5:
            photo, blur = textures[int(random.integers(len(textures)))], random.uniform(0, 4)
        else:
            photo, blur = places[int(random.integers(len(places)))], random.uniform(8, 20)
        yield _scene(name, subject, (photo, blur), random)


def _scene(name: str, subject: Bytes, background: tuple[Bytes, float], random: np.random.Generator) -> Scene:
    """Draw one scene. background: a photo, and its blur in pixels of a scene 1,000 pixels wide."""
    hairy = _hash(f"hair {name}") % 2 == 0
    side = int(random.choice(SIDES))
    width, height = side, int(side * random.uniform(0.66, 1))
    layer = _place(subject, (height, width), random)
    if hairy:
        layer = _add_strands(layer, random)
    layer = _blur(layer, random.uniform(0, 1.2) * side / 1000)
    behind = _blur(_crop(background[0], (height, width), random), background[1] * side / 1000)
    alpha = layer[..., 3]
    picture = layer[..., :3] + (1 - alpha[..., np.newaxis]) * behind
    picture += random.normal(0, random.uniform(0, 3), picture.shape)
    foreground = layer[..., :3] / np.maximum(alpha, 1e-3)[..., np.newaxis]
    return Scene(
        name=f"{name}{' hairy' * hairy}",
        held_out=_hash(f"half {name}") % 2 == 0,
        hairy=hairy,
        picture=np.clip(picture + 0.5, 0, 255).astype(np.uint8),
        alpha=alpha,
        foreground=np.clip(foreground, 0, 255),
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _place(subject: Bytes, size: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return the subject at a random place and angle on a canvas: float32[H, W, 4], premultiplied."""
    height, width = size
    side = subject.shape[0]
    scale = min(size) / side * random.uniform(0.55, 0.95)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), random.uniform(-15, 15), scale)
    canvas = np.array([width, height])
    spare = np.maximum(0, canvas - scale * 0.9 * side) / 2
    matrix[:, 2] += canvas / 2 - side / 2 + random.uniform(-spare, spare)
    alpha = subject[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([subject[..., :3] * alpha, alpha], axis=2)
    return np.asarray(
        cv2.warpAffine(premultiplied, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32
    )


def _add_strands(layer: Floats, random: np.random.Generator) -> Floats:
    """Draw strands behind the subject, each in the subject's colour at its root."""
    height, width = layer.shape[:2]
    body = (layer[..., 3] > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)[:, 0].astype(np.float32)
    colours = _inner_colours(layer, body)
    fine = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    paint = layer[..., :3].copy()
    for _ in range(STRANDS):
        start = int(random.integers(len(outline)))
        points = _strand(outline, start, width, random)
        x, y = outline[start].astype(int)
        colour = np.clip(colours[y, x] * random.uniform(0.8, 1.1), 0, 255).tolist()
        thick = max(2, round(random.uniform(0.6, 1.8) * OVERSAMPLING * width / 1000))
        curve = np.round(points * OVERSAMPLING).astype(np.int32)
        cv2.polylines(fine, [curve], False, 255, thick, cv2.LINE_AA)
        cv2.polylines(paint, [curve // OVERSAMPLING], False, colour, 7)
    shrunk = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    strands = shrunk.astype(np.float32)[..., np.newaxis] / 255
    behind = np.concatenate([paint * strands, strands], axis=2)
    return np.asarray(layer + (1 - layer[..., 3:]) * behind, np.float32)


def _inner_colours(layer: Floats, body: Bytes) -> Floats:
    """Return the subject's colour near each pixel, without its edge: float32[H, W, 3]."""
    inner = cv2.erode(body, np.ones((9, 9), np.uint8)).astype(np.float32)[..., np.newaxis]
    weight = cv2.blur(inner, (31, 31))[..., np.newaxis]
    return np.asarray(cv2.blur(layer[..., :3] * inner, (31, 31)) / np.maximum(weight, 1e-3), np.float32)


def _strand(outline: Floats, start: int, width: int, random: np.random.Generator) -> Floats:
    """Return the points of a curve outwards from a point of the outline: float32[12, 2]."""
    ahead, behind = outline[(start + 8) % len(outline)], outline[start - 8]
    along = (ahead - behind) / max(1e-3, float(np.linalg.norm(ahead - behind)))
    outwards = np.array([-along[1], along[0]])
    length = width * random.uniform(0.008, 0.03)
    tip = outline[start] + length * (outwards + along * random.uniform(-0.8, 0.8))
    bend = outline[start] + length * (outwards * 0.6 + along * random.uniform(-0.4, 0.4))
    t = np.linspace(0, 1, 12)[:, np.newaxis]
    return np.asarray((1 - t) ** 2 * outline[start] + 2 * t * (1 - t) * bend + t**2 * tip, np.float32)


def _crop(photo: Bytes, size: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return a random part of a photo, enlarged to ``size`` and tinted: float32[H, W, 3]."""
    height, width = size
    scale = max(height / photo.shape[0], width / photo.shape[1]) * random.uniform(1, 1.8)
    part = np.minimum(photo.shape[:2], np.round(np.array(size) / scale).astype(int))
    top, left = random.integers(0, np.array(photo.shape[:2]) - part + 1)
    crop = photo[top : top + part[0], left : left + part[1]]
    # Half of the photos are grey. Without a tint, a fringe of them would hardly count as a colour error.
    tint = random.uniform(0.6, 1.1, 3).astype(np.float32)
    return np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC) * tint, np.float32)


def _blur(layer: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), sigma), np.float32) if sigma > 0.3 else layer
