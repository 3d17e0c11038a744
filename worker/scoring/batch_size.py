"""How many films one claim takes: many for a fast network, few for a slow one, so that an urgent film is soon next."""

#: What one batch may take: of the time that an urgent film waits, two batches are claimed before it.
CLAIM_SECONDS = 0.45
#: Films of the first claim, before anything is known.
FIRST_CLAIM = 16
#: Fewer would leave an urgent film no place beside one that waited too long, and some cores nothing to decode.
LEAST_CLAIM = 4
#: Of the newest batch in the mean: one that met a cold disk does not decide alone.
NEWEST_SHARE = 0.3


class BatchSizer:
    """Follows the rate of the films, and says how many are claimed at once: a power of two, as networks are asked."""

    def __init__(self, most: int, threads: int = 1) -> None:
        """Begin with few films; never say more than `most`, nor fewer than there are threads to decode them."""
        self._most = most
        self._least = min(most, max(LEAST_CLAIM, threads))
        self._seconds_per_film: float | None = None

    @property
    def films(self) -> int:
        """Return how many films the next claim takes."""
        if self._seconds_per_film is None:
            return min(FIRST_CLAIM, self._most)
        fitting = max(1, int(CLAIM_SECONDS / self._seconds_per_film))
        return max(self._least, min(self._most, 1 << (fitting.bit_length() - 1)))

    def observe(self, films: int, seconds: float) -> None:
        """Take into account that so many films took so long, from the end of one batch to the end of the next.

        A batch that is not half full is no backlog's: what a film costs alone says little of what many cost together.
        """
        if 2 * films < self.films:
            return
        newest = seconds / films
        known = self._seconds_per_film
        self._seconds_per_film = newest if known is None else known + NEWEST_SHARE * (newest - known)
