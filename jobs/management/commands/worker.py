"""``manage.py worker [--threads N]``: run queued jobs until the process is asked to stop."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.management.arguments import whole_number
from jobs.calls.upstream import connect
from jobs.metrics import files
from jobs.worker.pool import WorkerPool

MAX_THREADS = 1_000


class Command(BaseCommand):
    help = "Run queued jobs. SIGTERM and Ctrl-C let each thread finish its current job."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--threads", type=whole_number(1, MAX_THREADS), default=settings.WORKER_THREADS, metavar="N"
        )

    def handle(self, *_: Any, threads: int, **_options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        files.share()
        upstream = connect()
        with upstream.client:
            WorkerPool(upstream, threads, stop).run()
