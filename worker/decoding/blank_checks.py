"""Cheap rules on a decoded film that hold for every network: blank, two-tone and noise are no radiograph."""

import numpy as np

from worker.decoding.limits import Grey
from worker.errors import Reason, RejectedImage

#: Rows and columns looked at are a few hundred, evenly spread: the rules cost a fraction of a millisecond.
SAMPLED_LINES = 256
#: Every such row of those is looked at for noise, which is everywhere where it is.
ROUGH_STEP = 4
#: Grey levels around the commonest one that count as the same: what JPEG makes of an even surface.
EVEN_LEVELS = 4
#: Less than this outside them, and there is nothing on the film.
MIN_UNEVEN_SHARE = 0.01
#: A film in a palette of 64 colours has 40 levels and more.
MIN_LEVELS = 12
#: Of neighbours' squared difference over twice the variance: 1 for noise, below 0.2 for films.
MAX_ROUGHNESS = 0.6


def check_not_blank(film: Grey) -> None:
    """Refuse a film that is none by its grey levels alone.

    Raises:
        RejectedImage: blank, too_few_greys or noise.
    """
    height, width = film.shape
    rows = film[:: max(1, height // SAMPLED_LINES)]
    levels = np.bincount(rows[:, :: max(1, width // SAMPLED_LINES)].ravel(), minlength=256)
    commonest = int(levels.argmax())
    even = levels[max(0, commonest - EVEN_LEVELS) : commonest + EVEN_LEVELS + 1].sum()
    if even > (1 - MIN_UNEVEN_SHARE) * levels.sum():
        raise RejectedImage(Reason.BLANK, "nearly every pixel has the same value")
    if (found := int((levels > 0).sum())) < MIN_LEVELS:
        raise RejectedImage(Reason.TOO_FEW_GREYS, f"{found} grey levels; a radiograph has more")
    if _roughness(rows[::ROUGH_STEP]) > MAX_ROUGHNESS:
        raise RejectedImage(Reason.NOISE, "neighbouring pixels have nothing to do with each other")


def _roughness(rows: Grey) -> float:
    values = rows.astype(np.float32)
    return float(np.square(np.diff(values, axis=1)).mean() / (2 * values.var() or 1))
