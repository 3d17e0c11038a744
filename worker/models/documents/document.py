"""The base of every stored document: how one is read from JSON and written as JSON."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

#: Lower and upper end of a 95 % interval; both are None where the interval is undefined.
Interval = tuple[float | None, float | None]


class Document(BaseModel):
    """A part of a stored document, or a whole one; it never changes.

    A key that has no field here is kept and written again. A figure that is not a finite number is an error.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True, allow_inf_nan=False
    )

    #: Whether fields that nobody set are written, too, with their defaults.
    WRITES_DEFAULTS: ClassVar[bool] = False

    def stored(self) -> dict[str, JsonValue]:
        """Return the JSON form: a document that was read gives the keys that it had."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=not self.WRITES_DEFAULTS)
