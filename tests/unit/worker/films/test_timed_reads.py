"""Reads that hang."""

import threading

import pytest

from worker.errors import TryAgainLater
from worker.films import archive, timed_reads
from worker.films.timed_reads import MAX_HANGING, TimedReader


@pytest.fixture
def stuck():
    """A read that hangs until the test is over."""
    release = threading.Event()
    yield release.wait
    release.set()


def test_an_answer_and_an_error_come_through():
    """A TimeoutError of the file system itself is an error like others, not a read that hangs."""

    def fail():
        raise TimeoutError("ETIMEDOUT")

    assert b"film" == TimedReader(5).run("images", lambda: b"film")
    with pytest.raises(TimeoutError, match="ETIMEDOUT"):
        TimedReader(5).run("images", fail)


def test_a_read_that_hangs_is_given_up_and_its_folder_left_alone(stuck):
    """The next film of that folder is postponed at once, and other folders are read."""
    reads = TimedReader(0.05)
    with pytest.raises(TryAgainLater, match="did not answer within"):
        reads.run("images", stuck)

    with pytest.raises(TryAgainLater, match="does not answer"):
        reads.run("images", lambda: b"film")
    assert b"film" == reads.run("archive", lambda: b"film")


def test_a_folder_that_answers_again_is_read_again():
    """This is the case once the read that hung has ended."""
    release, reads = threading.Event(), TimedReader(0.05)
    with pytest.raises(TryAgainLater):
        reads.run("images", release.wait)
    release.set()
    reads._hanging["images"][0][1].result()

    assert b"film" == reads.run("images", lambda: b"film")


def test_a_hanging_folder_is_tried_again_after_a_rest_but_takes_few_threads(stuck, monkeypatch):
    """It may have been mounted again, and it must not use up every thread."""
    monkeypatch.setattr(timed_reads, "REST_SECONDS", 0)
    reads = TimedReader(0.01)
    for _ in range(MAX_HANGING):
        with pytest.raises(TryAgainLater, match="did not answer within"):
            reads.run("images", stuck)

    with pytest.raises(TryAgainLater, match="does not answer"):
        reads.run("images", lambda: b"film")


def test_a_film_whose_folder_hangs_is_trouble_outside(tmp_path, stuck, monkeypatch):
    """So it is postponed, and no attempt is counted, long before the time limit of its task."""
    monkeypatch.setattr(archive, "_read", lambda *_: stuck())
    reads = TimedReader(0.05)
    monkeypatch.setattr(archive, "timed_reader", lambda: reads)

    with pytest.raises(TryAgainLater):
        archive.read("images", "a.png", {"images": tmp_path}, 100)


def test_a_host_that_starts_no_more_threads_costs_a_film_its_turn_only(monkeypatch):
    """The error comes in the film's turn, not when its read starts ahead."""
    monkeypatch.setattr(threading.Thread, "start", lambda _self: (_ for _ in ()).throw(RuntimeError("can't start")))

    wait = TimedReader(5).begin("images", lambda: b"film")

    with pytest.raises(TryAgainLater, match="no more threads"):
        wait()
