"""The drift page: a source's days beside the reference, and what drifted."""

import pytest

from dashboard.accounts.accounts import Role


@pytest.fixture
def reader(client, auth):
    """Somebody who may read."""
    auth.login(Role.VIEWER)
    return client


def test_days_stand_beside_the_reference_and_what_drifted_is_marked_with_its_sentence(reader, monitored_day):
    """Not by colour alone."""
    page = reader.get("/drift?source=pacs-north").text

    assert "Reference" in page
    assert str(monitored_day) in page
    assert "100.0" in page
    assert 'title="mean 150 of 40 films; the reference has 100"' in page
    assert f"{monitored_day}, Grey mean:" in page


@pytest.mark.parametrize("source", ["", "pacs-south", "%00"])
def test_a_source_without_figures_is_said_in_words(reader, monitored_day, source):
    """An empty table says nothing."""
    assert "No data for the last" in reader.get(f"/drift?source={source}").text


def test_before_there_is_a_reference_the_page_says_what_it_takes(reader, monitored_day):
    """The first day of a source has nothing beside it."""
    from sqlalchemy import delete

    from worker.database import transaction
    from worker.monitoring.records import DriftDay

    with transaction() as session:
        session.execute(delete(DriftDay).where(DriftDay.day < monitored_day))

    assert "no reference yet: this version must score 200 films" in reader.get("/drift?source=pacs-north").text


def test_the_former_address_leads_to_the_page(reader):
    """Bookmarks keep working."""
    answer = reader.get("/watch?source=pacs-south")

    assert 308 == answer.status_code
    assert answer.location.endswith("/drift?source=pacs-south")
