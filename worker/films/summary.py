"""Describes a film by four numbers when it is scored, so that drift monitoring need not decode it again."""

from dataclasses import dataclass

from worker.decoding.limits import Grey


@dataclass(frozen=True)
class FilmSummary:
    """The grey levels and the size of one film."""

    #: Mean and standard deviation of the grey levels, 0 to 255, at the network's input size.
    grey_mean: float
    grey_spread: float
    #: The size of the film as it was decoded.
    height_pixels: int
    width_pixels: int


def summarize(decoded: Grey, prepared: Grey) -> FilmSummary:
    """Return the summary of a film.

    Args:
        decoded: uint8, shape (height, width).
        prepared: the same film at the network's input size, which is small, so that its mean takes little time.
    """
    height, width = decoded.shape
    return FilmSummary(float(prepared.mean()), float(prepared.std()), height, width)
