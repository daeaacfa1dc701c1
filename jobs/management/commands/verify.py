"""``manage.py verify [--all | --due | --quick]``: check the ten invariants."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.audit.verify import HASHING, INVARIANTS, run
from jobs.storage.files import StorageUnavailableError

PROGRESS_EVERY_SECONDS = 5


class Command(BaseCommand):
    help = "Recompute the books and check the files. Exit with 1 if anything differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        files = parser.add_mutually_exclusive_group()
        files.add_argument("--all", action="store_true", help="read every stored result (the default)")
        files.add_argument(
            "--due",
            action="store_true",
            help="read a night's share of the results that weren't read for VERIFY_EVERY_DAYS, as the worker "
            "does every night",
        )
        files.add_argument(
            "--quick", action="store_true", help=f"skip invariant {HASHING}, which reads the results"
        )

    def handle(self, *_: Any, due: bool, quick: bool, **_options: Any) -> None:
        self._said = began = time.monotonic()
        self.stdout.write(f"Checking the books and the list of files. {_which_results(due=due, quick=quick)}")
        try:
            verification = run(quick=quick, nightly=due, report=self._report, progress=self._progress)
        except StorageUnavailableError as error:
            raise CommandError(str(error)) from error
        count = len(verification.findings)
        self.stdout.write(f"Findings: {count}, in {time.monotonic() - began:.1f} s.")
        if count:
            sys.exit(1)

    def _report(self, number: int, findings: list[str]) -> None:
        title, _find = INVARIANTS[number]
        self.stdout.write(f"{number:>2}  {title}: {'ok' if not findings else len(findings)}")
        for sentence in findings:
            self.stdout.write(f"      {sentence}")
        self.stdout.flush()

    def _progress(self, done: int, total: int) -> None:
        if time.monotonic() - self._said >= PROGRESS_EVERY_SECONDS:
            self._said = time.monotonic()
            self.stderr.write(f"    {done:,} of {total:,} results read")


def _which_results(*, due: bool, quick: bool) -> str:
    if quick:
        return "No result is read."
    if due:
        days = settings.VERIFY_EVERY_DAYS
        return f"A night's share of the results is read, of those that weren't for {days} days."
    return "Every stored result is read."
