"""The page of the watch: a source's days beside the reference, and what drifted."""

import pytest

from dashboard.accounts.accounts import Role


@pytest.fixture
def reader(client, auth):
    """Somebody who may read."""
    auth.login(Role.VIEWER)
    return client


def test_days_stand_beside_the_reference_and_what_drifted_is_marked_with_its_sentence(reader, watched):
    """Not by colour alone."""
    page = reader.get("/watch?source=pacs-north").text

    assert "Reference" in page
    assert str(watched) in page
    assert "100.0" in page
    assert 'title="mean 150 of 40 films; the reference has 100"' in page
    assert f"{watched}, Grey mean:" in page


@pytest.mark.parametrize("source", ["", "pacs-south", "%00"])
def test_a_source_that_was_not_watched_is_said_in_words(reader, watched, source):
    """An empty table says nothing."""
    assert "Nothing was watched" in reader.get(f"/watch?source={source}").text


def test_before_there_is_a_reference_the_page_says_what_it_takes(reader, watched):
    """The first day of a source has nothing beside it."""
    from sqlalchemy import delete

    from worker.database import transaction
    from worker.monitoring.records import WatchedDay

    with transaction() as session:
        session.execute(delete(WatchedDay).where(WatchedDay.day < watched))

    assert "no reference yet: it takes 200 films" in reader.get("/watch?source=pacs-north").text
