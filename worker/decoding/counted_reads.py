"""A file in memory whose reads are counted."""

import io

#: A film has some hundred attributes. So many reads cost half a second and 50 MB at most; a hostile file has millions.
MAX_READS = 50_000


class CountedReads(io.BytesIO):
    """Bytes that may be read so often and no more: a parser's time and memory follow from the number of its reads."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count it.

        Raises:
            ValueError: it was read too often.
        """
        self._reads += 1
        if self._reads > MAX_READS:
            raise ValueError(f"more than {MAX_READS} reads")
        return super().read(size)
