"""Files are read before their turn, a few at a time."""

import pytest

from worker.ledger import Claim
from worker.readahead import FILES_AHEAD, Readahead

CLAIMS = [Claim(number, "images", f"{number}.png", None) for number in range(9)]


@pytest.fixture
def begun() -> list[int]:
    """The films whose files were begun to be read, in order."""
    return []


@pytest.fixture
def files(begun) -> Readahead:
    """Nine files; the last cannot be read."""

    def begin(claim):
        begun.append(claim.image_id)

        def wait():
            if claim.image_id == CLAIMS[-1].image_id:
                raise OSError("gone")
            return claim.path.encode()

        return wait

    return Readahead(CLAIMS, begin)


def test_a_few_files_are_begun_before_their_turn(files, begun):
    """And no more than those."""
    assert [] == begun
    assert b"0.png" == files.take(CLAIMS[0])
    assert list(range(FILES_AHEAD + 1)) == begun
    assert b"1.png" == files.take(CLAIMS[1])
    assert list(range(FILES_AHEAD + 2)) == begun


def test_a_file_that_cannot_be_begun_fails_in_its_own_turn():
    """And not in that of the film before it."""

    def begin(claim):
        if claim.image_id == 1:
            raise RuntimeError("no thread")
        return claim.path.encode

    files = Readahead(CLAIMS, begin)

    assert b"0.png" == files.take(CLAIMS[0])
    with pytest.raises(RuntimeError, match="no thread"):
        files.take(CLAIMS[1])
    assert b"2.png" == files.take(CLAIMS[2])


def test_each_file_is_read_once_and_an_error_is_its_own_films(files, begun):
    """Whatever order threads ask in."""
    for claim in (*CLAIMS[1::-1], *CLAIMS[2:-1]):
        assert claim.path.encode() == files.take(claim)
    with pytest.raises(OSError, match="gone"):
        files.take(CLAIMS[-1])
    assert [claim.image_id for claim in CLAIMS] == begun
