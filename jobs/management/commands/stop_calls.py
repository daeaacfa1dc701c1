"""``manage.py stop_calls --why TEXT``: let no call to the upstream begin until a person starts them again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.management.arguments import memo_argument
from jobs.queue import stopping


class Command(BaseCommand):
    help = (
        "Stop all calls, for example after a database was restored and before its workers start. Staff start "
        "them again on the page Upstream, or with manage.py start_calls."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--why", required=True, type=memo_argument, metavar="TEXT")

    def handle(self, *_: Any, why: str, **_options: Any) -> None:
        stopped = stopping.stop(why)
        self.stdout.write("No call begins any more." if stopped else "The calls were stopped already.")
