"""The Celery task of retraining. Keras is imported only when a run starts, in the child process that trains."""

from model_training.retraining.run import retrain
from model_training.settings import settings
from model_training.training.devices import yield_to_scoring
from worker import celery_app
from worker.celery_app import app

#: Longer than any training. The application's own time limits are meant for batches of films, and Celery applies them
#: where a task has no limit. A trainer that hangs stops its heartbeat, and its run then fails.
WEEK_SECONDS = 7 * 24 * 60 * 60


# Acknowledged at the start, so that Redis does not repeat a training that died. Its heartbeat stops, and the sweeper
# requests it again.
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
