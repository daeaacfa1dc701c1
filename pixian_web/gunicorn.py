"""Gunicorn's settings for the web process.

One loop reads the requests (``pixian.server.waitress_worker``), so threads only work. Several processes help
if programs call more often than one interpreter can book.
"""

import logging

from django.utils.module_loading import import_string

from engine.logs import GUNICORN
from jobs.metrics import files
from pixian.server.waitress_channel import Limits
from pixian.server.waitress_worker import WaitressWorker
from pixian_web import logs
from pixian_web.settings import (
    BIND_ADDRESS,
    LOG_FORMAT,
    METRICS_DIR,
    METRICS_TOKEN,
    PIXIAN_TIMEOUT,
    PORT,
    WEB_LEAST_RATE,
    WEB_PATIENCE_SECONDS,
    WEB_PROCESSES,
    WEB_THREADS,
)


class worker_class(WaitressWorker):  # noqa: N801 - gunicorn reads this name
    limits = Limits(WEB_PATIENCE_SECONDS, WEB_LEAST_RATE)


bind = f"{BIND_ADDRESS}:{PORT}"
workers = WEB_PROCESSES
threads = WEB_THREADS
# Above the upstream's longest response: the gateway makes paid calls inside a request, and a call that is cut
# off is in doubt.
timeout = graceful_timeout = PIXIAN_TIMEOUT + 100
loglevel = "warning"
control_socket_disable = True
logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a request that waits for a thread is no event
logconfig_dict = GUNICORN | {"formatters": {"dated": logs.formatter(LOG_FORMAT)}}


def post_worker_init(_worker: object) -> None:
    """Share this process's metrics, and start the thread that finishes API calls whose process died.

    Django is set up by now, and the process won't be forked any more.
    """
    import_string("jobs.metrics.files.share")()
    upstream = import_string("jobs.api.requests.upstream")()
    import_string("jobs.worker.web_watch.start")(upstream)


def child_exit(_server: object, _worker: object) -> None:
    """Keep what a process counted that has ended."""
    if METRICS_TOKEN:
        files.add_up_ended(METRICS_DIR)
