"""The timetable's process, made to end when it is told to."""

import signal
from types import FrameType

from celery.apps.beat import Beat
from celery.beat import Service

#: Between the wish that the process ends and the kernel's ending it: to close a connection, and no more.
STOP_SECONDS = 10


class Timetable(Beat):
    """Celery's beat, whose end does not depend on its broker.

    Celery raises SystemExit wherever the signal meets the process. Where that is an attempt to reach a broker that
    is gone, it can be swallowed, and every later signal likewise. Nothing of a timetable is lost when it is killed:
    sweeps repeat, and a night's retraining is one row.
    """

    def install_sync_handler(self, service: Service) -> None:
        """Stop in order at the first signal, at once at the second, and after some seconds in any case."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(STOP_SECONDS)
            service.sync()
            raise SystemExit

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
