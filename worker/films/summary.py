"""What a film looks like in four numbers, taken when it is scored: drift monitoring needs no second decoding."""

from dataclasses import dataclass

from worker.decoding.limits import Grey


@dataclass(frozen=True)
class FilmLook:
    """Grey levels and size of one film."""

    #: Mean and standard deviation of the grey levels, 0 to 255, at the network's input size.
    grey_mean: float
    grey_spread: float
    #: Of the film as it was decoded.
    height_pixels: int
    width_pixels: int


def look_at(decoded: Grey, prepared: Grey) -> FilmLook:
    """Return the look of a film.

    Args:
        decoded: uint8, shape (height, width).
        prepared: the same at the network's input size: small, so that looking at it costs nothing.
    """
    height, width = decoded.shape
    return FilmLook(float(prepared.mean()), float(prepared.std()), height, width)
