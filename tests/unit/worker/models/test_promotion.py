"""Versions that may be promoted: those that passed the gate, were imported by a person, or are forced by one."""

import pytest
from cards import card

from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.models import promotion, registry
from worker.models.documents.report import Report
from worker.models.documents.verdict import Verdict
from worker.models.promotion import NotPassed
from worker.models.records import ModelVersion, RetrainingRun


@pytest.fixture
def versions(database):
    """`old` is active; `new` is the candidate of a retraining; a person imported `brought`."""
    with transaction() as session:
        for name in ("old", "new", "brought"):
            session.add(ModelVersion(version=name, sha256="0" * 64, card=card(), report=Report()))
        session.flush()
        session.add(RetrainingRun(asked_by="t", candidate_id=2))
        registry.activate(session, "old", "t")


def judged(*reasons, active_id=1):
    with transaction() as session:
        promotion.record(session, 2, active_id, Verdict(passed=not reasons, reasons=reasons))


def promote(version, **how):
    with transaction() as session:
        return promotion.promote(session, version, "ann", **how)[1]


def active():
    with reading() as session:
        row = registry.current_activation(session)
        return row.model_version.version, row.forced


def test_a_candidate_that_passed_is_promoted(versions):
    judged()

    assert [] == promote("new")
    assert ("new", False) == active()


def test_a_candidate_that_nobody_judged_is_not(versions):
    with pytest.raises(NotPassed, match="never judged"):
        promote("new")
    assert ("old", False) == active()


def test_a_candidate_that_was_refused_is_not_and_the_reasons_are_given(versions):
    judged("worse", "too few films")

    with pytest.raises(NotPassed, match="worse; too few films"):
        promote("new")


def test_the_last_verdict_counts(versions):
    judged()
    judged("worse")

    with pytest.raises(NotPassed):
        promote("new")


def test_a_verdict_against_a_former_active_version_does_not_count(versions):
    judged()
    promote("brought")

    with pytest.raises(NotPassed, match="not active any more"):
        promote("new")


def test_a_person_may_force_it_and_that_is_recorded(versions):
    judged("worse")

    assert ["worse"] == promote("new", force=True)
    assert ("new", True) == active()


def test_a_version_that_a_person_imported_needs_no_verdict(versions):
    assert ["it was never judged"] == promote("brought")
    assert ("brought", False) == active()


def test_an_unregistered_version_cannot_be_promoted(versions):
    with pytest.raises(ModelUnavailable):
        promote("nothing")
