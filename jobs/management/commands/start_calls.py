"""``manage.py start_calls --by EMAIL``: let calls to the upstream begin again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.management.arguments import find_user
from jobs.batches import control
from jobs.queue import stopping


class Command(BaseCommand):
    help = "Start the calls again that were stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--by", required=True, metavar="EMAIL", help="who has looked")
        parser.add_argument(
            "--pause", action="store_true", help="pause the batches that have pictures waiting, first"
        )

    def handle(self, *_: Any, by: str, pause: bool, **_options: Any) -> None:
        actor = find_user(by)
        if pause:
            self.stdout.write(f"Batches paused: {control.pause_all()}.")
        self.stdout.write("Calls begin again." if stopping.start(actor) else "The calls weren't stopped.")
