"""Sets how many films a claim takes: many for a fast network, few for a slow one, so that urgent films wait little."""

#: How long one batch should take. Up to two batches are claimed before an urgent film that has just arrived.
CLAIM_SECONDS = 0.45
#: Films of the first claim, before any batch was timed.
FIRST_CLAIM = 16
#: The smallest claim. With fewer films an urgent one would find no place beside an overdue one, and some cores would
#: have nothing to decode.
LEAST_CLAIM = 4
#: Weight of the newest batch in the moving average; one slow disk read must not set the batch size.
NEWEST_WEIGHT = 0.3


class BatchSizer:
    """Measures seconds per film and says how many films to claim: a power of two, since networks run in those."""

    def __init__(self, most: int, threads: int = 1) -> None:
        """Start with few films.

        Args:
            most: the largest claim.
            threads: the number of decoders; a claim has at least as many films, unless `most` is smaller.
        """
        self._most = most
        self._least = min(most, max(LEAST_CLAIM, threads))
        self._seconds_per_film: float | None = None

    @property
    def films(self) -> int:
        """The number of films that the next claim takes."""
        if self._seconds_per_film is None:
            return min(FIRST_CLAIM, self._most)
        fitting = max(1, int(CLAIM_SECONDS / self._seconds_per_film))
        return max(self._least, min(self._most, 1 << (fitting.bit_length() - 1)))

    def observe(self, films: int, seconds: float) -> None:
        """Take into account how long a batch took, from the end of the batch before it to its own end.

        A batch that is less than half full is ignored: the time of a single film says little about the time of many.
        """
        if 2 * films < self.films:
            return
        newest = seconds / films
        average = self._seconds_per_film
        self._seconds_per_film = newest if average is None else average + NEWEST_WEIGHT * (newest - average)
