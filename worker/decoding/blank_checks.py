"""Quick checks of a decoded film that hold for every network: a blank, two-tone or noisy picture is no radiograph."""

import numpy as np

from worker.decoding.limits import Grey
from worker.errors import Reason, RejectedImage

#: About this many rows and columns, evenly spread, are checked, which takes a fraction of a millisecond.
SAMPLED_LINES = 256
#: Every fourth of those rows is checked for noise, which fills the whole picture.
ROUGH_STEP = 4
#: Grey levels so close to the commonest one count as the same: JPEG makes as many of an even surface.
EVEN_LEVELS = 4
#: With a smaller share outside those levels, the film is blank.
MIN_UNEVEN_SHARE = 0.01
#: Fewer grey levels are no radiograph; a film in a palette of 64 colours has 40 or more.
MIN_LEVELS = 12
#: The squared difference of neighbours over twice the variance: 1 for noise, below 0.2 for films.
MAX_ROUGHNESS = 0.6


def check_not_blank(film: Grey) -> None:
    """Reject a picture that cannot be a film by its grey levels alone.

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
