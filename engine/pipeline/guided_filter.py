"""The colour guided filter, which makes a matte's edges follow the picture's.

Sources: Kaiming He, Jian Sun and Xiaoou Tang, "Guided Image Filtering", IEEE TPAMI 35 (2013), § 3, in its
form for a colour guide; Kaiming He and Jian Sun, "Fast Guided Filter" (2015), for coefficients at a smaller
size than the picture.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

STRIP_ROWS = 128
COLUMNS_AT_ONCE = 8192


def coefficients(guide: Floats, matte: Floats, radius: int, epsilon: float) -> Floats:
    """Return planes ar, ag, ab and b, float32[4, H, W]: the filtered matte is ``ar·R + ag·G + ab·B + b``.

    guide: float32[H, W, 3], 0 to 1. matte: float32[H, W], 0 to 1. radius: of the window, in pixels. epsilon:
    variance below which a window counts as flat, in squared units of the guide.
    """
    height, width = matte.shape
    planes = np.empty((4, height, width), np.float32)
    # The filter averages averages, so a pixel depends on others up to twice the radius away.
    reach = 2 * radius
    # In strips, so that the twenty or so intermediate planes stay in the CPU's cache.
    for top in range(0, height, STRIP_ROWS):
        start, end = max(0, top - reach), top + STRIP_ROWS + reach
        strip = _coefficients(guide[start:end], matte[start:end], radius, np.float32(epsilon))
        planes[:, top : top + STRIP_ROWS] = strip[:, top - start : top - start + STRIP_ROWS]
    return planes


def apply(planes: Floats, picture: Bytes) -> Bytes:
    """Return the matte uint8[H, W] of a picture uint8[H, W, 3 or 4].

    planes: coefficients float32[4, h, w] of any smaller size, scaled so that they map bytes to bytes.
    """
    height, width = picture.shape[:2]
    matte = np.empty((height, width), np.uint8)
    # In tiles: the enlarged coefficients of 25 megapixels would take 400 MB.
    for top, left in _tiles(height, width):
        tile = picture[top : top + STRIP_ROWS, left : left + COLUMNS_AT_ONCE]
        parts = [enlarged(plane, (height, width), (top, left), tile.shape) for plane in planes]
        total = parts[3]
        for channel in range(3):
            total += parts[channel] * tile[..., channel]
        matte[top : top + STRIP_ROWS, left : left + COLUMNS_AT_ONCE] = np.clip(total + 0.5, 0, 255)
    return matte


def enlarged(plane: Floats, full: tuple[int, ...], corner: tuple[int, int], tile: tuple[int, ...]) -> Floats:
    """Return one tile of a plane, float32[h, w] or [h, w, 3], as if the plane had been enlarged as a whole.

    full: height and width of the enlarged plane. corner: row and column of the tile's upper left pixel.
    tile: its height and width.
    """
    scale_y, scale_x = plane.shape[0] / full[0], plane.shape[1] / full[1]
    # Coordinates are of pixel centres, as in every resize, so that nothing shifts by a fraction of a pixel.
    matrix = np.array(
        [
            [scale_x, 0, (corner[1] + 0.5) * scale_x - 0.5],
            [0, scale_y, (corner[0] + 0.5) * scale_y - 0.5],
        ]
    )
    return _floats(
        cv2.warpAffine(
            plane,
            matrix,
            (tile[1], tile[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _coefficients(guide: Floats, matte: Floats, radius: int, epsilon: np.float32) -> Floats:
    def mean(plane: Floats) -> Floats:
        side = 2 * radius + 1
        return _floats(cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT))

    red, green, blue = (_floats(plane) for plane in cv2.split(guide))
    mean_red, mean_green, mean_blue, mean_matte = mean(red), mean(green), mean(blue), mean(matte)
    variances = (
        mean(red * red) - mean_red**2 + epsilon,
        mean(red * green) - mean_red * mean_green,
        mean(red * blue) - mean_red * mean_blue,
        mean(green * green) - mean_green**2 + epsilon,
        mean(green * blue) - mean_green * mean_blue,
        mean(blue * blue) - mean_blue**2 + epsilon,
    )
    slopes = _solve(
        variances,
        mean(red * matte) - mean_red * mean_matte,
        mean(green * matte) - mean_green * mean_matte,
        mean(blue * matte) - mean_blue * mean_matte,
    )
    offset = mean_matte - slopes[0] * mean_red - slopes[1] * mean_green - slopes[2] * mean_blue
    return np.stack([mean(plane) for plane in (*slopes, offset)])


def _solve(covariance: tuple[Floats, ...], red: Floats, green: Floats, blue: Floats) -> tuple[Floats, ...]:
    """Solve each pixel's symmetric 3 × 3 system by the adjugate matrix."""
    rr, rg, rb, gg, gb, bb = covariance
    inverse_rr, inverse_rg, inverse_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    inverse_gg, inverse_gb, inverse_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * inverse_rr + rg * inverse_rg + rb * inverse_rb
    return (
        (inverse_rr * red + inverse_rg * green + inverse_rb * blue) / determinant,
        (inverse_rg * red + inverse_gg * green + inverse_gb * blue) / determinant,
        (inverse_rb * red + inverse_gb * green + inverse_bb * blue) / determinant,
    )


def _tiles(height: int, width: int) -> Iterator[tuple[int, int]]:
    # Columns are divided too, since warpAffine handles at most 32,767 of them and a picture can have more.
    for top in range(0, height, STRIP_ROWS):
        for left in range(0, width, COLUMNS_AT_ONCE):
            yield top, left


def _floats(plane: npt.ArrayLike) -> Floats:
    """Narrow the type of an array from OpenCV, whose hints allow any number type."""
    return np.asarray(plane, np.float32)
