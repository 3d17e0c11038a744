"""The Celery door of retraining; Keras is imported only when a run begins, in the child that trains."""

from model_training.retraining import retrain
from worker import celery_app
from worker.celery_app import app

#: The application's limits are for batches of films. Celery replaces None (and the pool 0) by them, so this task names
#: its own: longer than any training. A trainer that hangs goes silent, and its run is given up by that.
WEEK_SECONDS = 7 * 24 * 60 * 60


# Acknowledged at once: a training that died is not repeated by Redis; its row says so, and a person or the night asks.
@app.task(
    name=celery_app.RETRAIN,
    acks_late=False,
    time_limit=WEEK_SECONDS,
    soft_time_limit=WEEK_SECONDS,
)
def retrain_run(run_id: int) -> None:
    """Carry out a retraining run."""
    retrain(run_id)
