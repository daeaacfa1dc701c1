"""Colour spaces described by a PNG's own chunks: ``cICP``, or ``gAMA`` with ``cHRM``.

Sources: PNG specification (third edition), §§ 4.3 and 11.3.2; ITU-T H.273, §§ 8.1 and 8.2. Anything they
leave open follows Chromium.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

Conversion = Callable[[Bytes], Bytes]
"""Converts uint8[..., 3] to sRGB."""

Light = npt.NDArray[np.float32]
"""Linear light, float32[..., 3]; 1.0 is the white of an ordinary screen."""

ToneMap = Callable[[Light], Light]

Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue."""

D65, C, EQUAL, DCI = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)
BT709 = (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
BT601 = (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
PRIMARIES: dict[int, Chromaticities] = {
    1: BT709,
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: BT601,
    7: BT601,
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (*EQUAL, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (*DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}

SRGB_TRANSFER = 13
TV_GAMMA = 2.4
"""The gamma of a BT.709 screen (BT.1886), which Chromium uses for all related transfer functions."""

NEARLY_SRGB = range(43182, 47728)
"""Values of ``gAMA`` around 1/2.2 that Chromium takes for sRGB if there is no ``cHRM``."""

PQ, HLG = 16, 18
PAPER_NITS = 203
"""Luminance of reference white in PQ and HLG. Source: ITU-R BT.2408."""

TONES = ((0.0, 0.86, 1.34, 2.09, 3.23, 4.98), (0.0, 0.43, 0.617, 0.7605, 0.888, 1.0))
"""Chromium's tone curve for light brighter than reference white, 1.0. Measured in Chromium."""

BT2020_LUMINANCE = np.array((0.2627, 0.6780, 0.0593), np.float32)

BRADFORD = np.array([(0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)])

LEVELS = 1 << 14
"""Steps from black to white, fine enough for the steep end of sRGB's curve."""


def coded(info: Mapping[Any, Any]) -> Conversion | None:
    """Return the conversion for a ``cICP`` chunk; None if there is none, or one with unsupported values."""
    if len(code := info.get("cicp", b"")) != 4:
        return None
    primaries, transfer, matrix, _full_range = code
    if matrix != 0 or primaries not in PRIMARIES or (light := _light(transfer)) is None:
        return None
    if (primaries, transfer) == (1, SRGB_TRANSFER):
        return lambda strip: strip
    return _conversion(light, PRIMARIES[primaries], TONE_MAPS.get(transfer))


def gamma(info: Mapping[Any, Any]) -> Conversion | None:
    """Return the conversion for a ``gAMA`` chunk; None without one, or if ``sRGB`` overrides it."""
    value = info.get("gamma", 0)
    if "srgb" in info or not value:
        return None
    chromaticities = info.get("chromaticity")
    if chromaticities is None and round(value * 100_000) in NEARLY_SRGB:
        return None
    light = np.linspace(0, 1, 256) ** (1 / value)
    return _conversion(light, chromaticities or BT709)


def _conversion(
    light: Floats, chromaticities: Chromaticities, tone_map: ToneMap | None = None
) -> Conversion | None:
    """Return the conversion to sRGB; None if the chromaticities are degenerate.

    light: linear light of each of the 256 levels. tone_map: for light brighter than a screen's white.
    """
    if chromaticities == BT709 and tone_map is None:
        table = _srgb(light)
        return lambda strip: table[strip]
    try:
        matrix = _to_bt709(chromaticities)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    encoded = _srgb(np.linspace(0, 1, LEVELS))
    linear = light.astype(np.float32)

    def convert(strip: Bytes) -> Bytes:
        emitted = linear[strip]
        mixed = (tone_map(emitted) if tone_map else emitted) @ matrix.T
        levels: Bytes = encoded[(np.clip(mixed, 0, 1) * (LEVELS - 1) + 0.5).astype(np.uint16)]
        return levels

    return convert


def _light(transfer: int) -> Floats | None:
    """Return the linear light of each of 256 levels, by H.273's number of the transfer function.

    1.0 is white, or reference white. None for an unsupported number.
    """
    level = np.linspace(0, 1, 256)
    if transfer in (1, 6, 11, 14, 15):
        return level**TV_GAMMA
    curves: dict[int, Callable[[Floats], Floats]] = {
        4: lambda level: level**2.2,
        5: lambda level: level**2.8,
        7: lambda level: _piecewise(level, 0.0913, 4.0, 0.1115, 1 / 0.45),
        8: lambda level: level,
        SRGB_TRANSFER: lambda level: _piecewise(level, 0.04045, 12.92, 0.055, 2.4),
        PQ: lambda level: _pq_nits(level) / PAPER_NITS,
        17: lambda level: np.minimum(level**2.6 * 52.37 / 48, 1),
        HLG: _hlg,
    }
    return curves[transfer](level) if transfer in curves else None


def _piecewise(level: Floats, end: float, slope: float, offset: float, power: float) -> Floats:
    return np.where(level <= end, level / slope, ((level + offset) / (1 + offset)) ** power)


def _pq_nits(level: Floats) -> Floats:
    """Return the luminance of each PQ level. Source: SMPTE ST 2084."""
    root = level ** (32 / 2523)
    light: Floats = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
    return 10_000 * light


def _hlg(level: Floats) -> Floats:
    """Return the scene light of each HLG level. Source: ARIB STD-B67."""
    return np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def _tone_map(light: Light) -> Light:
    """Dim each colour by the tone curve of its brightest channel, which keeps its hue."""
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    return np.asarray(light * (np.interp(brightest, *TONES) / brightest), np.float32)


def _display_hlg(scene: Light) -> Light:
    """Convert HLG scene light to the light of a 1,000-nit screen, tone-mapped. Source: ITU-R BT.2100."""
    luminance = (scene @ BT2020_LUMINANCE)[..., None]
    return _tone_map(scene * luminance**0.2 * np.float32(1000 / PAPER_NITS))


TONE_MAPS: dict[int, ToneMap] = {PQ: _tone_map, HLG: _display_hlg}


def _srgb(light: Floats) -> Bytes:
    """Return the sRGB level, 0 to 255, of linear light."""
    level = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (level * 255 + 0.5).astype(np.uint8)


def _to_bt709(chromaticities: Chromaticities) -> Light:
    """Return the matrix from linear light in these primaries to sRGB's, adapted to its white.

    Raises LinAlgError or ZeroDivisionError for degenerate chromaticities.
    """
    white = _xyz(*chromaticities[:2])
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ _xyz(*D65) / (BRADFORD @ white)) @ BRADFORD
    matrix = np.linalg.inv(_to_xyz(BT709)) @ adapted @ _to_xyz(chromaticities)
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError
    return np.asarray(matrix, np.float32)


def _to_xyz(chromaticities: Chromaticities) -> Floats:
    """Return the matrix from linear light to CIE XYZ. Source: SMPTE RP 177."""
    pairs = [chromaticities[at : at + 2] for at in range(2, 8, 2)]
    columns = np.array([(x, y, 1 - x - y) for x, y in pairs]).T
    return columns * np.linalg.solve(columns, _xyz(*chromaticities[:2]))


def _xyz(x: float, y: float) -> Floats:
    return np.array((x / y, 1.0, (1 - x - y) / y))
