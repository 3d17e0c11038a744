"""A file in memory that limits the number of its reads."""

import io

#: A film has some hundred attributes; a hostile file has millions. This many reads take half a second and 50 MB.
MAX_READS = 50_000


class CountedReads(io.BytesIO):
    """Bytes with a limited number of reads, which limits the time and the memory of a parser."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count the read.

        Raises:
            ValueError: there were more than `MAX_READS` reads.
        """
        self._reads += 1
        if self._reads > MAX_READS:
            raise ValueError(f"more than {MAX_READS} reads")
        return super().read(size)
