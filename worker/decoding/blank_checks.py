"""Quick checks of a decoded film that hold for every network: a blank, two-tone or noisy picture is no radiograph."""

import numpy as np

from worker.decoding.limits import Grey
from worker.errors import Reason, RejectedImage

#: About this many rows and columns, evenly spread, are checked, which takes a fraction of a millisecond.
SAMPLED_LINES = 256
#: Every fourth of those rows is checked for noise, which fills the whole picture.
ROUGH_STEP = 4
#: Levels this close to the commonest one count as the same, because JPEG spreads an even surface over several levels.
EVEN_LEVELS = 4
#: A film with a smaller share of pixels outside those levels is blank.
MIN_UNEVEN_SHARE = 0.01
#: A picture with fewer grey levels is no radiograph; a film in a palette of 64 colours has 40 or more.
MIN_LEVELS = 12
#: The mean squared difference of neighbours, divided by twice the variance, is 1 for noise and below 0.2 for films.
MAX_ROUGHNESS = 0.6


def check_not_blank(film: Grey) -> None:
    """Reject a picture whose grey values alone show that it is no film.

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
    if (present := int((levels > 0).sum())) < MIN_LEVELS:
        raise RejectedImage(Reason.TOO_FEW_GREYS, f"{present} grey levels; a radiograph has more")
    if _roughness(rows[::ROUGH_STEP]) > MAX_ROUGHNESS:
        raise RejectedImage(Reason.NOISE, "neighbouring pixels are unrelated")


def _roughness(rows: Grey) -> float:
    values = rows.astype(np.float32)
    return float(np.square(np.diff(values, axis=1)).mean() / (2 * values.var() or 1))
