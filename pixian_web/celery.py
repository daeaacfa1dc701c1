"""Wake workers on several hosts by Celery on Redis.

::

    celery -A pixian_web.celery worker      on each host
    celery -A pixian_web.celery beat        somewhere, once

A message says only "look": the claim in the database decides which worker does what. Results aren't kept,
delays lie in the rows and not in messages, and beat announces again what is due, so a broker that loses
everything loses nothing.
"""

import os
import signal
from typing import Any

from celery import Celery, beat, signals
from django.conf import settings
from django.utils.log import configure_logging
from kombu.exceptions import OperationalError
from kombu.transport import virtual

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pixian_web.settings")

LOOK, ANNOUNCE, RUN_PERIODIC_TASKS = "jobs.look", "jobs.announce", "jobs.run_periodic_tasks"
ANNOUNCE_SECONDS = 2
PERIODIC_TASKS_SECONDS = 60
LONGER_THAN_ANY_TURN_SECONDS = 12 * 60 * 60

app = Celery("pixian_web", broker=settings.CELERY_BROKER_URL)
app.conf.update(
    # A turn mostly waits, for the network or for back-off, and the heartbeat needs its process's memory.
    worker_pool="threads",
    worker_concurrency=settings.WORKER_THREADS,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="jobs",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a broker that is away for an hour doesn't end workers either
    # A call whose worker lost the broker goes on: it is paid for. (Celery 6 would cancel it by default.)
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={
        # A message that is lost with its worker is announced again, so Redis needn't keep it until it is
        # acknowledged. Keeping it is what ended workers when Redis died (see below).
        "ack_emulation": False,
        # Below a turn's length, Redis would hand the message to a second worker meanwhile.
        "visibility_timeout": LONGER_THAN_ANY_TURN_SECONDS,
        # An upload waits so long for a broker that is away. Trying again is left to beat; workers, which
        # have a setting of their own for it, go on trying to connect.
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
        "max_retries": 0,
    },
    # Announcements every few seconds leave nothing that is worth a file, which a crash could spoil.
    beat_scheduler="celery.beat:Scheduler",
    # A message that waits longer than until the next one is thrown away, so that they never pile up.
    beat_schedule={
        name: {"task": name, "schedule": seconds, "options": {"expires": seconds}}
        for name, seconds in ((ANNOUNCE, ANNOUNCE_SECONDS), (RUN_PERIODIC_TASKS, PERIODIC_TASKS_SECONDS))
    },
)
app.autodiscover_tasks(["pixian_web"])

# Closing a broken connection, kombu would put the messages in hand back into the queue over that same
# connection. That raises AttributeError, which Celery doesn't expect there, and the worker ends.
virtual.Channel.do_restore = False


def log_as_everything_else(**_: Any) -> None:
    """Keep Celery from configuring logs its own way, and use ours even before Django is set up."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


signals.setup_logging.connect(log_as_everything_else)


def end_without_failure(sender: beat.Service, **_: Any) -> None:
    """Let beat end with 0 even if it is told to amid a message."""

    def end(*_: object) -> None:
        # What it interrupts may turn SystemExit into an error of the broker's, which beat logs and forgets.
        # With Celery's own handler it would go on then, and end with 1 or not at all.
        sender.stop()
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


signals.beat_init.connect(end_without_failure)


def wake(times: int, expires: float | None = None) -> None:
    """Send this many looks; raises ConnectionError if the broker doesn't answer."""
    try:
        for _ in range(times):
            app.send_task(LOOK, retry=False, expires=expires)
    except OperationalError as error:
        raise ConnectionError(str(error)) from error


def ping() -> str:
    """Return the broker's address without its password; raises ConnectionError if it doesn't answer."""
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
            return str(broker.as_uri())
    except OperationalError as error:
        raise ConnectionError(str(error)) from error
