"""The ledger under every order of events that Hypothesis generates: crashes, late owners, outages, replays."""

import os
from datetime import timedelta

import pytest
from cards import card
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select, update

from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.studies import ledger, rejected_films
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Image, Prediction, Rejection, Study, Submission
from worker.studies.rejected_films import Selection

OWNERS = st.sampled_from(["a", "b"])
#: Few contents, so that films share them.
CONTENTS = ["x" * 64, "y" * 64, "z" * 64]
MAX_ATTEMPTS = 3
#: `make test` runs few; the nightly run asks for more.
EXAMPLES = int(os.environ.get("THORAQ_TEST_MACHINE_EXAMPLES", "12"))
#: Where a film may go without a replay.
FORWARD = {
    "waiting": {"waiting", "scoring", "scored", "rejected"},
    "scoring": {"waiting", "scoring", "scored", "rejected"},
    "scored": {"scored"},
    "rejected": {"rejected"},
}


class Ledger(RuleBasedStateMachine):
    """Two workers, either of which may believe that it still has a lease that has expired."""

    @initialize()
    def begin(self):
        """Start with an empty ledger."""
        with transaction() as session:
            for table in (Rejection, Image, Prediction, Study, Submission):
                session.execute(delete(table))
            if session.get(ModelVersion, 1) is None:
                session.add_all(
                    ModelVersion(id=n, version=f"m-{n}", sha256="0" * 64, card=card(), report=Report()) for n in (1, 2)
                )
        self.believed = {"a": {}, "b": {}}
        self.stood = {}
        self.accepted = 0

    @rule(films=st.integers(1, 3), priority=st.integers(0, 2))
    def submit(self, films, priority):
        """Accept one study."""
        images = [Image(root="images", path="p", priority=priority) for _ in range(films)]
        with transaction() as session:
            session.add(
                Submission(
                    id=f"{self.accepted:032x}", source="t", request_id=str(self.accepted), content_sha256="",
                    priority=priority, refused=[], extra={}, studies=[Study(images=images)],
                )
            )  # fmt: skip
        self.accepted += films

    @rule(owner=OWNERS, limit=st.integers(1, 4))
    def claim(self, owner, limit):
        """A worker claims images beside those that it holds."""
        with transaction() as session:
            claims = ledger.claim(session, owner, limit=limit, lease_seconds=60, max_attempts=MAX_ATTEMPTS)
        self.believed[owner] |= {claim.image_id: claim for claim in claims}

    @rule(owner=OWNERS)
    def die_and_come_again(self, owner):
        """A worker's process is killed, and its message is delivered again."""
        with transaction() as session:
            ledger.reclaim(session, owner)
        self.believed[owner] = {}

    @rule(owner=OWNERS, version=st.sampled_from([1, 2]), chance=st.randoms(use_true_random=False), twice=st.booleans())
    def save(self, owner, version, chance, twice):
        """A worker records all that it believes to hold, perhaps twice, as after a lost answer to a commit."""
        outcomes = [
            Rejected(image_id, None, Reason.CORRUPT, "damaged")
            if chance.random() < 0.3
            else Scored(image_id, chance.choice(CONTENTS), {"Effusions": 0.75, "No-Findings": 0.25})
            for image_id in self.believed[owner]
        ]
        self.believed[owner] = {}
        for _ in range(1 + twice):
            with transaction() as session:
                ledger.record(session, owner, outcomes, version)

    @rule(owner=OWNERS)
    def postpone(self, owner):
        """Trouble outside: a worker postpones everything that it holds."""
        with transaction() as session:
            ledger.postpone(session, owner, list(self.believed[owner]))
            session.execute(update(Image).values(not_before=None))
        self.believed[owner] = {}

    @rule(owner=OWNERS, outage=st.booleans())
    def expire_leases(self, owner, outage):
        """The sweeper expires a worker's leases; the worker does not notice and may record later."""
        with transaction() as session:
            held = update(Image).where(Image.owner == owner)
            session.execute(held.values(lease_until=now() - timedelta(seconds=1)))
            if outage:
                ledger.refund_attempts(session)
            ledger.expire_leases(session)

    @rule(reason=st.sampled_from([None, Reason.CORRUPT, Reason.CRASHED_THE_WORKER, Reason.CANCELLED]))
    def replay(self, reason):
        """An operator replays rejected films: the only way back to waiting after an outcome."""
        with transaction() as session:
            rejected_films.replay(session, "ada", Selection(reason=reason))
        with reading() as session:
            waiting = set(session.scalars(select(Image.id).where(Image.state == "waiting")))
        self.stood |= {image_id: "waiting" for image_id in waiting if image_id in self.stood}

    @rule()
    def cancel(self):
        """The newest submission is cancelled."""
        with transaction() as session:
            last = session.scalar(select(Submission.id).order_by(Submission.received_at.desc()).limit(1))
            if last:
                rejected_films.cancel(session, last, "t")

    @invariant()
    def no_film_is_lost_or_moves_backward(self):
        """Every accepted film exists, in its last state or in a later one."""
        with reading() as session:
            stands = dict(session.execute(select(Image.id, Image.state)).all())
        assert self.accepted == len(stands)
        for image_id, state in stands.items():
            assert state in FORWARD[self.stood.get(image_id, "waiting")], (image_id, self.stood.get(image_id), state)
        self.stood = stands

    @invariant()
    def each_finished_film_has_one_outcome(self):
        """A finished film has a prediction or one rejection that is not ended; an unfinished film has neither."""
        standing = select(Rejection.image_id).where(Rejection.replayed_at.is_(None))
        with reading() as session:
            rejected = list(session.scalars(standing))
            films = list(session.scalars(select(Image)))
        assert len(rejected) == len(set(rejected))
        for film in films:
            assert (film.state == "scored") == (film.prediction_id is not None)
            assert (film.state == "rejected") == (film.id in rejected)
            assert (film.finished_at is not None) == (film.state in {"scored", "rejected"})

    @invariant()
    def attempts_stay_within_their_limits(self):
        """A leased film has an owner and an end of its lease."""
        with reading() as session:
            for film in session.scalars(select(Image)):
                assert 0 <= film.attempts <= MAX_ATTEMPTS
                assert (film.state == "scoring") == (film.owner is not None) == (film.lease_until is not None)

    @invariant()
    def a_content_is_predicted_once_by_a_version(self):
        """The prediction has all findings."""
        with reading() as session:
            pairs = session.execute(select(Prediction.image_sha256, Prediction.model_version_id)).all()
            findings = list(session.scalars(select(Prediction.probabilities)))
        assert len(pairs) == len(set(pairs))
        assert all({"Effusions", "No-Findings"} == set(probabilities) for probabilities in findings)

    @invariant()
    def the_result_of_a_study_follows_from_its_films(self):
        """The stored result equals the one computed from the films."""
        with reading() as session:
            for study in session.scalars(select(Study)).unique():
                states = {film.state for film in study.images}
                scored = "scored" in states
                expected = "waiting" if states & {"waiting", "scoring"} else "scored" if scored else "rejected"
                assert expected == study.state
                assert ("Effusions" if scored else None) == study.label
                assert (study.finished_at is None) == (expected == "waiting")


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_no_order_of_events_loses_doubles_or_turns_back_a_film(database):
    """Accepted films end in exactly one outcome, whatever dies, comes late or happens twice."""
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None, database=None, derandomize=EXAMPLES < 20,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
