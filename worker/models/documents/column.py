"""The column type of documents: JSON in the database, a pydantic model in Python."""

from typing import Generic, TypeVar

from pydantic import JsonValue, ValidationError
from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from worker.errors import UnreadableDocument
from worker.models.documents.document import Document

D = TypeVar("D", bound=Document)


class DocumentColumn(TypeDecorator[D], Generic[D]):
    """A JSON column whose values are documents of one kind."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, document: type[D]) -> None:
        """Take the kind of document; it is part of the type's cache key."""
        super().__init__()
        self.document = document

    def process_bind_param(self, value: D | None, dialect: Dialect) -> dict[str, JsonValue] | None:  # noqa: ARG002
        """Return the document's JSON form."""
        return None if value is None else value.stored()

    def process_result_value(self, value: object, dialect: Dialect) -> D | None:  # noqa: ARG002
        """Return the document.

        Raises:
            UnreadableDocument: the row holds JSON that is not a document of this kind.
        """
        if value is None:
            return None
        try:
            return self.document.model_validate(value)
        except ValidationError as error:
            raise UnreadableDocument(f"the database holds a {self.document.__name__} that cannot be read") from error
