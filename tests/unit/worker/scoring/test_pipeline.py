"""The pipeline with fake steps: which steps overlap, their order, and the state after an error."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from worker.errors import ModelUnavailable
from worker.scoring.batch_size import BatchSizer
from worker.scoring.pipeline import BATCHES_BEHIND, Batch, Claims, Outcomes, Pipeline
from worker.studies.claims import Claim

WAIT_SECONDS = 10


def films(*ids: int, attempt: int = 1) -> Claims:
    return Claims([Claim(n, "images", f"{n}.png", None, attempt) for n in ids], 1, full=True)


class FakeSteps:
    """Hands out prepared claims, and logs each step with the first film of its batch."""

    def __init__(self, *claims: Claims) -> None:
        self.claims = list(claims)
        self.log: list[tuple[str, int]] = []
        self.others_in_flight: list[bool] = []
        #: First film -> future of its decoding; films that are not named are decoded at once.
        self.decoding: dict[int, Future[list]] = {}
        self.errors: dict[tuple[str, int], Exception] = {}
        #: First film -> what a step waits for before it ends.
        self.holds: dict[tuple[str, int], threading.Event] = {}
        self.changed = threading.Condition()

    def claim(self, owner, *, others_in_flight):
        self.others_in_flight.append(others_in_flight)
        claims = self.claims.pop(0) if self.claims else films()
        self._step("claim", claims.films[0].image_id if claims.films else 0)
        return claims

    def decode(self, claims):
        first = claims.films[0].image_id
        self._step("decode", first)
        return Batch(None, claims.films, [self.decoding.get(first, decoded())], preview=False)

    def predict(self, batch):
        assert all(part.done() for part in batch.parts)
        self._step("predict", batch.claims[0].image_id)
        return Outcomes([batch.claims[0].image_id], [], [], [], 1)

    def record(self, owner, outcomes):
        assert "owner" == owner
        self._step("record", outcomes.finished[0])

    def _step(self, name, first):
        if hold := self.holds.get((name, first)):
            assert hold.wait(WAIT_SECONDS)
        with self.changed:
            self.log.append((name, first))
            self.changed.notify_all()
        if error := self.errors.get((name, first)):
            raise error

    def of(self, name):
        return [first for step, first in self.log if step == name]

    def wait_for(self, name, first):
        with self.changed:
            assert self.changed.wait_for(lambda: (name, first) in self.log, WAIT_SECONDS)


def decoded() -> Future[list]:
    future: Future[list] = Future()
    future.set_result([])
    return future


@pytest.fixture
def pipeline():
    """A function that makes a pipeline with threads of its own."""
    threads = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]

    def make(steps, seconds=WAIT_SECONDS, sizer=None):
        return Pipeline(
            steps,
            owner="owner",
            deadline=time.monotonic() + seconds,
            claim_thread=threads[0],
            record_thread=threads[1],
            batch_sizer=sizer or BatchSizer(64),
        )

    yield make
    for thread in threads:
        thread.shutdown()


def in_background(run):
    """Run in a thread of its own, and return the future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def test_every_claimed_film_is_predicted_and_recorded_in_the_order_of_the_claims(pipeline):
    """The run ends when a claim finds nothing."""
    steps = FakeSteps(films(1, 2), films(3, 4), films(5), films(6))

    assert 6 == pipeline(steps).run()

    for name in ("decode", "predict", "record"):
        assert [1, 3, 5, 6] == steps.of(name)
    assert [1, 3, 5, 6, 0] == steps.of("claim")


def test_nothing_to_claim_ends_the_run_at_once(pipeline):
    steps = FakeSteps()

    assert 0 == pipeline(steps).run()
    assert [("claim", 0)] == steps.log


def test_two_batches_decode_at_once_and_no_third(pipeline):
    """A third would delay an urgent film that arrives meanwhile."""
    steps = FakeSteps(films(1), films(2), films(3))
    steps.decoding = {1: Future(), 2: Future()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("decode", 2)
    time.sleep(0.05)

    assert [1, 2] == steps.of("claim") == steps.of("decode")
    steps.decoding[1].set_result([])
    steps.decoding[2].set_result([])
    assert 3 == run.result(WAIT_SECONDS)


def test_the_successor_of_a_decoded_batch_is_claimed_before_the_network_runs(pipeline):
    """The claim is made while the network runs."""
    steps = FakeSteps(films(1), films(2), films(3))
    steps.decoding = {1: Future(), 2: Future()}
    steps.holds = {("predict", 1): threading.Event()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("decode", 2)
    steps.decoding[1].set_result([])
    steps.wait_for("claim", 3)
    assert [] == steps.of("predict")
    steps.holds["predict", 1].set()
    steps.decoding[2].set_result([])

    assert 3 == run.result(WAIT_SECONDS)


def test_the_network_does_not_wait_for_a_slow_claim(pipeline):
    """A decoded batch is predicted while the database is slow."""
    steps = FakeSteps(films(1), films(2))
    steps.holds = {("claim", 2): threading.Event()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("record", 1)
    steps.holds["claim", 2].set()

    assert 2 == run.result(WAIT_SECONDS)


def test_a_younger_batch_that_is_decoded_first_waits_its_turn(pipeline):
    """Records stay in the order of the claims."""
    steps = FakeSteps(films(1), films(2))
    steps.decoding = {1: Future()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("decode", 2)
    steps.decoding[1].set_result([])

    assert 2 == run.result(WAIT_SECONDS)
    assert [1, 2] == steps.of("predict")


def test_records_are_made_beside_the_network_but_few_wait(pipeline):
    """Outcomes that wait to be recorded would be lost with the process."""
    steps = FakeSteps(*(films(n) for n in range(1, 7)))
    steps.holds = {("record", 1): threading.Event()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("predict", 1 + BATCHES_BEHIND)
    time.sleep(0.05)

    assert [1, 2, 3] == steps.of("predict")
    assert [] == steps.of("record")
    steps.holds["record", 1].set()
    assert 6 == run.result(WAIT_SECONDS)
    assert [1, 2, 3, 4, 5, 6] == steps.of("record")


def test_nothing_is_claimed_after_the_deadline_and_what_is_claimed_is_finished(pipeline):
    """The deadline is the time budget of a task."""
    steps = FakeSteps(films(1), films(2), films(3))
    steps.decoding = {1: Future()}

    scoring = pipeline(steps)
    run = in_background(scoring.run)
    steps.wait_for("decode", 2)
    scoring._deadline = time.monotonic()
    steps.decoding[1].set_result([])

    assert 2 == run.result(WAIT_SECONDS)
    assert [1, 2] == steps.of("record")
    assert 1 == len(steps.claims)


def test_a_spent_budget_claims_nothing(pipeline):
    steps = FakeSteps(films(1))

    assert 0 == pipeline(steps, seconds=0).run()
    assert [] == steps.log


def test_a_film_that_was_tried_before_is_alone(pipeline):
    """Nothing is claimed beside it: it may kill this process."""
    steps = FakeSteps(films(1, attempt=2), films(2))

    assert 1 == pipeline(steps).run()
    assert [1] == steps.of("claim")
    assert [False] == steps.others_in_flight


def test_later_claims_say_that_others_are_in_flight(pipeline):
    """The ledger then leaves a film that must be alone for the next run."""
    steps = FakeSteps(films(1), films(2))

    pipeline(steps).run()

    assert [False, True, True] == steps.others_in_flight


def test_the_batch_sizer_is_told_of_every_batch(pipeline):
    """It follows the rate, from the end of one batch to the end of the next."""
    observed = []

    class Sizer(BatchSizer):
        def observe(self, films, seconds):
            observed.append((films, seconds >= 0))

    pipeline(FakeSteps(films(1, 2), films(3)), sizer=Sizer(64)).run()

    assert [(2, True), (1, True)] == observed


@pytest.mark.parametrize("step", ["claim", "decode", "predict", "record"])
def test_an_error_in_any_step_ends_the_run(pipeline, step):
    """No error is ignored."""
    steps = FakeSteps(films(1), films(2))
    steps.errors = {(step, 2): ModelUnavailable("gone")}

    with pytest.raises(ModelUnavailable):
        pipeline(steps).run()


def test_an_error_waits_for_the_claim_and_the_records_under_way(pipeline):
    """The caller then returns the owner's films: it must find all of them, and no record may follow."""
    steps = FakeSteps(films(1), films(2), films(3))
    steps.errors = {("predict", 2): ModelUnavailable("gone")}
    steps.holds = {("record", 1): threading.Event(), ("claim", 3): threading.Event()}

    run = in_background(pipeline(steps).run)
    steps.wait_for("predict", 2)
    time.sleep(0.05)
    assert not run.done()
    steps.holds["claim", 3].set()
    time.sleep(0.05)
    assert not run.done()
    steps.holds["record", 1].set()

    with pytest.raises(ModelUnavailable):
        run.result(WAIT_SECONDS)
    assert [1] == steps.of("record")
    assert [1, 2, 3] == steps.of("claim")


def test_a_record_that_fails_at_the_end_is_not_lost(pipeline):
    """The last records are under way when the loop ends."""
    steps = FakeSteps(films(1))
    steps.errors = {("record", 1): RuntimeError("no commit")}

    with pytest.raises(RuntimeError, match="no commit"):
        pipeline(steps).run()
