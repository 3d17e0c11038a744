"""The Celery door of retraining; Keras is imported only when a run begins, in the child that trains."""

from model_training.retraining.run import retrain
from model_training.settings import settings
from model_training.training.devices import yield_to_scoring
from worker import celery_app
from worker.celery_app import app

#: The application's limits are for batches of films. Celery replaces None (and the pool 0) by them, so this task names
#: its own: longer than any training. A trainer that hangs goes silent, and its run is given up by that.
WEEK_SECONDS = 7 * 24 * 60 * 60


# Acknowledged at once: Redis does not repeat a training that died; its row falls silent, and the sweep asks anew.
@app.task(
    name=celery_app.RETRAIN,
    acks_late=False,
    time_limit=WEEK_SECONDS,
    soft_time_limit=WEEK_SECONDS,
)
def retrain_run(run_id: int) -> None:
    """Carry out a retraining run."""
    yield_to_scoring(settings().niceness, settings().threads)
    retrain(run_id)
