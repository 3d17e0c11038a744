"""Row ids in URLs and query strings: the converter `<row_id:...>` for routes, and `parse_row_id` for parameters."""

from werkzeug.routing import IntegerConverter, Map

from worker.database import MAX_ROW_ID

#: Longer numbers are ignored: nobody writes them, and converting them costs time.
MAX_DIGITS = 19


class RowIdConverter(IntegerConverter):
    """The URL converter `row_id`: an integer from 0 to `MAX_ROW_ID`; other addresses are 404."""

    def __init__(self, url_map: Map) -> None:
        """Set the range."""
        super().__init__(url_map, max=MAX_ROW_ID)


def parse_row_id(text: str | None) -> int | None:
    """Return the row id in a query parameter, at most `MAX_ROW_ID`; None if it is not a number."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > MAX_DIGITS:
        return None
    return min(int(text), MAX_ROW_ID)
