"""Row ids as they stand in URLs and query strings."""

#: The largest id that an INTEGER column of PostgreSQL holds.
MAX_ROW_ID = 2**31 - 1


def row_id(text: str | None) -> int | None:
    """Return the row's id that a query string names; None for anything that is none."""
    return min(int(text), MAX_ROW_ID) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004
