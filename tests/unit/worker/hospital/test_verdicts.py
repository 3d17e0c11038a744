"""Every answer of an archive has one verdict; the lists are those of the design, row by row."""

import pytest

from worker.hospital.verdicts import Verdict, of_http, of_rejection, of_status


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0x0107, 0x0116])
def test_a_warning_and_a_duplicate_are_sent(status):
    """The object is there. A warning is kept, a plain success has nothing to say."""
    answer = of_status(status)

    assert (Verdict.SENT, f"{status:04X}" if status else None) == (answer.verdict, answer.code)


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0213, None])
def test_an_archive_without_resources_is_tried_again(status):
    """It may have some later; its other exports wait, too."""
    answer = of_status(status)

    assert (Verdict.AGAIN, 30, True) == (answer.verdict, answer.most_attempts, answer.concerns_destination)


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xC123, 0xCFFF, 0x0122, 0x0124, 0x0106, 0xFE00, 0x1234])
def test_what_is_not_wanted_is_refused(status):
    """Trying again changes nothing. Codes that no standard has are failures, too."""
    answer = of_status(status)

    assert (Verdict.REFUSED, f"{status:04X}", False) == (answer.verdict, answer.code, answer.concerns_destination)


def test_a_processing_failure_is_tried_five_times():
    """Archives use it for anything."""
    answer = of_status(0x0110)

    assert (Verdict.AGAIN, 5, False) == (answer.verdict, answer.most_attempts, answer.concerns_destination)


def test_a_permanent_rejection_rests_the_destination_and_a_transient_one_is_tried_again():
    """An unknown AE title stays unknown until somebody adds it."""
    assert Verdict.REST == of_rejection(1, 1, 7).verdict
    assert Verdict.AGAIN == of_rejection(2, 3, 1).verdict
    assert "rejected_1_1_7" == of_rejection(1, 1, 7).code


@pytest.mark.parametrize(
    ("status", "failures", "verdict"),
    [
        (200, [], Verdict.SENT), (202, [], Verdict.SENT), (204, [], Verdict.SENT),
        (200, [0xA700], Verdict.AGAIN), (202, [0xA900], Verdict.REFUSED), (202, [0x0111], Verdict.SENT),
        (202, [None], Verdict.REFUSED), (409, [0xA700], Verdict.AGAIN), (409, [0xC000], Verdict.REFUSED),
        (429, [], Verdict.AGAIN), (408, [], Verdict.AGAIN), (500, [], Verdict.AGAIN), (503, [0xC000], Verdict.AGAIN),
        (401, [], Verdict.REST), (403, [], Verdict.REST), (404, [], Verdict.REST), (302, [], Verdict.REST),
        (400, [], Verdict.REFUSED), (409, [], Verdict.REFUSED), (412, [], Verdict.REFUSED), (413, [], Verdict.REFUSED),
        (415, [], Verdict.REFUSED), (422, [], Verdict.REFUSED),
    ],
)  # fmt: skip
def test_the_answers_of_dicomweb(status, failures, verdict):
    """A success with a failed object is no success."""
    assert verdict == of_http(status, failures).verdict
