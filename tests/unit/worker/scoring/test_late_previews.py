"""Previews of films that were scored in a backlog."""

import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from worker.films.preparation import Postponed
from worker.scoring import late_previews
from worker.scoring.late_previews import LatePreviews
from worker.studies import claim_order
from worker.studies.claims import Claim

MODEL = SimpleNamespace(loaded=lambda: SimpleNamespace(preparation="preparation"))


class FakeDecoders:
    """Remembers the batches of paths for which previews were made."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def prepare(self, places, preparation, *, preview):
        assert preview
        assert "preparation" == preparation
        self.batches.append([place.path for place in places])
        future: Future[list] = Future()
        future.set_result([Postponed("the root is not there")] * len(places))
        return [future]


@pytest.fixture
def decoders():
    return FakeDecoders()


def previews(decoders, *paths):
    late = LatePreviews(decoders, MODEL, batch_size=2)
    late.add(Claim(number, "images", path, None) for number, path in enumerate(paths))
    return late


def test_previews_are_made_newest_film_first_in_batches(database, decoders):
    """Each film is decoded once."""
    late = previews(decoders, "a", "b", "c")

    late.make(time.monotonic() + 10)
    late.make(time.monotonic() + 10)

    assert [["c", "b"], ["a"]] == decoders.batches


def test_nothing_is_decoded_while_a_film_waits_to_be_scored(database, decoders, monkeypatch):
    """The previews are made after a later task."""
    late = previews(decoders, "a")
    monkeypatch.setattr(claim_order, "any_waiting", lambda _session: True)
    late.make(time.monotonic() + 10)
    assert [] == decoders.batches

    monkeypatch.setattr(claim_order, "any_waiting", lambda _session: False)
    late.make(time.monotonic() + 10)
    assert [["a"]] == decoders.batches


def test_nothing_is_decoded_after_the_deadline(database, decoders):
    previews(decoders, "a").make(time.monotonic() - 1)

    assert [] == decoders.batches


def test_only_the_newest_films_of_a_long_backlog_are_remembered(database, decoders, monkeypatch):
    """The memory of a process does not grow with the backlog."""
    monkeypatch.setattr(late_previews, "MAX_FILMS", 2)

    previews(decoders, "a", "b", "c").make(time.monotonic() + 10)

    assert [["c", "b"]] == decoders.batches
