"""A model's card for tests that need a version and not its network."""

from worker.models.directory import SHIPPED_PHANTOMS, read_card
from worker.models.documents.card import ModelCard


def card(**changes: object) -> ModelCard:
    """Return the card of the shipped phantom model with some of its fields changed."""
    return ModelCard.model_validate(read_card(SHIPPED_PHANTOMS).stored() | changes)
