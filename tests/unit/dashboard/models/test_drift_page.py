"""The drift page: the days of a source beside the reference, and the alarms."""

import pytest

from dashboard.accounts.accounts import Role


@pytest.fixture
def reader(client, auth):
    """A client that is logged in as a viewer."""
    auth.login(Role.VIEWER)
    return client


def test_days_stand_beside_the_reference_and_what_drifted_is_marked_with_its_sentence(reader, monitored_day):
    """Colour alone would not be accessible."""
    page = reader.get("/drift?source=pacs-north").text

    assert "Reference" in page
    assert str(monitored_day) in page
    assert "100.0" in page
    assert 'title="mean 150 of 40 films; the reference has 100"' in page
    assert f"{monitored_day}, Grey mean:" in page


@pytest.mark.parametrize("source", ["", "pacs-south", "%00"])
def test_a_source_without_data_says_so(reader, monitored_day, source):
    """The page shows no empty table."""
    assert "No data for the last" in reader.get(f"/drift?source={source}").text


def test_before_there_is_a_reference_the_page_says_what_it_takes(reader, monitored_day):
    """There is nothing to compare the first day with."""
    from sqlalchemy import delete

    from worker.database import transaction
    from worker.monitoring.records import DriftDay

    with transaction() as session:
        session.execute(delete(DriftDay).where(DriftDay.day < monitored_day))

    assert "no reference yet: this version must score 200 films" in reader.get("/drift?source=pacs-north").text


def test_the_former_address_leads_to_the_page(reader):
    """Bookmarks still work."""
    answer = reader.get("/watch?source=pacs-south")

    assert 308 == answer.status_code
    assert answer.location.endswith("/drift?source=pacs-south")
