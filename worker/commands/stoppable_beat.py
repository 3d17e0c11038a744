"""The beat process, which sends periodic tasks and stops on a signal in any case."""

import signal
from types import FrameType

from celery.apps.beat import Beat
from celery.beat import Service

#: How long the process may take to close its connections before the kernel ends it.
STOP_SECONDS = 10


class StoppableBeat(Beat):
    """Celery's beat, which stops on a signal even when its broker is unreachable.

    Celery raises SystemExit wherever the signal arrives. During an attempt to reach an unreachable broker, that
    exception can be swallowed, and so can every later one. Killing beat loses nothing: sweeps repeat, and a night's
    retraining is one row.
    """

    def install_sync_handler(self, service: Service) -> None:
        """Stop in order at the first signal, at once at the second, and after `STOP_SECONDS` in any case."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(STOP_SECONDS)
            service.sync()
            raise SystemExit

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
