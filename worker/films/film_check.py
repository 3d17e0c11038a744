"""The film check of a model: rejects a prepared film that is unlike the films on which its network was trained.

A film is described by the directions and strength of its edges in a grid, which do not change when greys are inverted.
Its distance is the Mahalanobis distance in the main axes of the training films' descriptions, plus the part that these
axes do not explain.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.decoding.limits import Grey
from worker.decoding.pictures import scaled
from worker.errors import ModelUnavailable, Reason, RejectedImage

FILM_CHECK_FILE = "film_check.npz"

CELLS, DIRECTIONS = 6, 8
#: Side of the picture that is described, 8 pixels a cell. A side of 96 tells films apart little better, and takes four
#: times as long.
SIDE_PIXELS = 48
#: A row or column belongs to the border if at most `BORDER_SHARE` of its pixels are brighter than `BORDER_GREY`.
BORDER_GREY, BORDER_SHARE = 16, 0.02
#: About this many rows and columns are checked for the border.
BORDER_LINES = 64
MIN_CROPPED_SHARE = 0.2
#: The weight of the strength of edges and of the spread of greys, beside a weight of 1 for their directions.
STRENGTH_WEIGHT = 0.5
#: This share of the whole picture's edges is added to a cell's, so that a cell without edges has no direction.
QUIET_SHARE = 0.05

#: Bins of directions in `_edges`. The last two are the first two again: a half turn, and what rounding puts beyond it.
ALL_BINS = DIRECTIONS + 2
#: The first bin of every pixel's cell, shape (side, side).
_CELL = np.arange(SIDE_PIXELS) * CELLS // SIDE_PIXELS
BINS = (_CELL[:, None] * CELLS + _CELL) * ALL_BINS

Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FilmCheck:
    """The film check of one model."""

    #: The mean of the training films' descriptions, shape (d,).
    mean: Vectors
    #: Their main axes, orthonormal, shape (k, d).
    axes: Vectors
    #: The variance along each axis, shape (k,).
    variances: Vectors
    #: The mean variance along every other direction.
    residual: float
    #: Films farther away than this are rejected.
    threshold: float

    def distance(self, film: Grey) -> float:
        """Return the distance of a prepared film from the training films: the smaller of upright and upside down."""
        described = describe(film)
        turned = described.reshape(CELLS, CELLS, -1)[::-1, ::-1].ravel()
        away = np.stack([described, turned]) - self.mean
        along = away @ self.axes.T
        unexplained = np.square(away).sum(axis=1) - np.square(along).sum(axis=1)
        return float((np.square(along) @ (1 / self.variances) + unexplained / self.residual).min())

    def check(self, film: Grey) -> None:
        """Reject a prepared film that is unlike the training films.

        Raises:
            RejectedImage: not_a_chest_film.
        """
        if (distance := self.distance(film)) > self.threshold:
            raise RejectedImage(
                Reason.NOT_A_CHEST_FILM,
                f"unlike the films that the model knows: {distance / self.threshold:.2f} times the distance allowed",
            )

    def save(self, path: Path) -> str:
        """Write the film check and return the SHA-256 of the file; equal film checks give equal bytes."""
        np.savez(
            path,
            mean=self.mean.astype(np.float32),
            axes=self.axes.astype(np.float32),
            variances=self.variances.astype(np.float32),
            limits=np.array([self.residual, self.threshold]),
        )
        return hashlib.sha256(path.read_bytes()).hexdigest()


def load_film_check(path: Path, sha256: str) -> FilmCheck:
    """Return a stored film check.

    Raises:
        ModelUnavailable: the file is missing, or is not the one that was published.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelUnavailable(f"{path} is not the file that was published")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays: dict[str, Any] = {name: stored[name].astype(np.float64) for name in stored.files}
    residual, threshold = arrays["limits"].tolist()
    return FilmCheck(arrays["mean"], arrays["axes"], arrays["variances"], residual, threshold)


def describe(film: Grey) -> Vectors:
    """Return a prepared film's description: per cell the directions of edges, their strength, the greys' spread."""
    picture = scaled(_without_border(film), (SIDE_PIXELS, SIDE_PIXELS)).astype(np.float32)
    picture = (picture - picture.mean()) / (picture.std() or 1)
    edges = _edges(picture)
    strength = np.sqrt(np.square(edges).sum(axis=2, keepdims=True))
    floor = QUIET_SHARE * np.sqrt(np.square(edges).sum() / CELLS**2) + np.finfo(np.float32).eps
    spread = picture.reshape(CELLS, SIDE_PIXELS // CELLS, CELLS, SIDE_PIXELS // CELLS).std(axis=(1, 3))[..., None]
    weighted = (np.log1p(strength) * STRENGTH_WEIGHT, spread * STRENGTH_WEIGHT)
    described: Vectors = np.concatenate([edges / (strength + floor), *weighted], axis=2).ravel()
    return described


def _without_border(film: Grey) -> Grey:
    """Return a film without the black margins that scanners and exporting programs add."""
    step = max(1, min(film.shape) // BORDER_LINES)
    bright = film[::step, ::step] > BORDER_GREY
    height, width = bright.shape
    rows = np.flatnonzero(np.count_nonzero(bright, axis=1) > BORDER_SHARE * width)
    columns = np.flatnonzero(np.count_nonzero(bright, axis=0) > BORDER_SHARE * height)
    if min(len(rows) / height, len(columns) / width) < MIN_CROPPED_SHARE:
        return film
    return film[rows[0] * step : (rows[-1] + 1) * step, columns[0] * step : (columns[-1] + 1) * step]


def _edges(picture: npt.NDArray[np.float32]) -> Vectors:
    """Return the sum of gradients, of either sign, by cell and direction, shape (cells, cells, directions)."""
    down, across = _gradient(picture), _gradient(picture.T).T
    angle = np.arctan2(down, across)
    # A direction and its opposite are one; a half turn, and what rounding puts beyond it, lie in the last two bins.
    position = (angle + np.float32(np.pi) * (angle < 0)) * np.float32(DIRECTIONS / np.pi)
    lower = position.astype(np.int64)
    size = np.hypot(down, across)
    upper_share = size * (position - lower)
    index = (BINS + lower).ravel()
    total: Vectors = np.zeros(CELLS * CELLS * ALL_BINS)
    total += np.bincount(index, (size - upper_share).ravel(), len(total))
    total += np.bincount(index + 1, upper_share.ravel(), len(total))
    edges = total.reshape(CELLS, CELLS, ALL_BINS)
    edges[..., : ALL_BINS - DIRECTIONS] += edges[..., DIRECTIONS:]
    return edges[..., :DIRECTIONS]


def _gradient(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return `numpy.gradient` along the first axis, in a third of the time."""
    slope = np.empty_like(picture)
    np.subtract(picture[2:], picture[:-2], out=slope[1:-1])
    slope[1:-1] *= np.float32(0.5)
    np.subtract(picture[1], picture[0], out=slope[0])
    np.subtract(picture[-1], picture[-2], out=slope[-1])
    return slope
