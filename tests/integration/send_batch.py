"""An upstream system: imports only Celery, and sends one message, `cxr.score.v1` by default."""

import json
import sys
from pathlib import Path

from celery import Celery

broker_url, envelope_file, *task = sys.argv[1:]
envelope = json.loads(Path(envelope_file).read_text(encoding="utf-8"))
Celery(broker=broker_url).send_task((task or ["cxr.score.v1"])[0], kwargs={"request": envelope}, queue="intake")
assert not {"worker", "dashboard", "model_training"} & set(sys.modules)
