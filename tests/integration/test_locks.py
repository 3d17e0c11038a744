"""No process can hold the queue by standing still: its locks are skipped."""

import time
from datetime import timedelta

import pytest
from conftest import forget_settings
from sqlalchemy import select, update

from worker.database import now, reading, transaction
from worker.studies import ledger
from worker.studies.records import Image, ImageState
from worker.submissions import intake
from worker.tasks import sweeper

LIMITS = {"lease_seconds": 60, "max_attempts": 3}


@pytest.fixture
def ten_images(postgres_database, data_dir, monkeypatch):
    """Ten waiting images on PostgreSQL."""
    import migrations.schema  # noqa: F401
    from worker.database import Base, engine

    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda *_: None)
    monkeypatch.setattr("worker.wakeups.wake_for_heat_maps", lambda: None)
    forget_settings()
    Base.metadata.create_all(engine())
    items = [{"image": {"root": "images", "path": f"{number}.png"}} for number in range(10)]
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": "1"}
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", '{"images": "/nowhere"}')
    forget_settings()
    intake.accept(message | {"items": items})


def test_a_claim_passes_over_what_another_claim_has_locked(ten_images):
    """The first has not committed yet; nobody waits and no image is claimed twice."""
    with transaction() as frozen:
        first = {claim.image_id for claim in ledger.claim(frozen, "a", limit=4, **LIMITS)}
        since = time.monotonic()
        with transaction() as session:
            second = {claim.image_id for claim in ledger.claim(session, "b", limit=10, **LIMITS)}
        took = time.monotonic() - since

    assert (4, 6, set()) == (len(first), len(second), first & second)
    assert took < 3  # A wait for a lock ends after 5 s, in an error.


def test_a_sweep_passes_over_what_a_frozen_process_has_locked(ten_images):
    """Every other image whose lease has ended waits again."""
    with transaction() as session:
        ledger.claim(session, "a", limit=10, **LIMITS)
        session.execute(update(Image).values(lease_until=now() - timedelta(seconds=1)))
    with transaction() as frozen:
        locked = frozen.scalars(select(Image.id).order_by(Image.id).limit(3).with_for_update()).all()
        since = time.monotonic()
        sweeper.sweep()
        took = time.monotonic() - since
        with reading() as session:
            waiting = session.scalars(select(Image.id).where(Image.state == ImageState.WAITING)).all()

    assert (7, set()) == (len(waiting), set(waiting) & set(locked))
    assert took < 3
