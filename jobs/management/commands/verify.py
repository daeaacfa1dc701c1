"""``manage.py verify [--quick]``: check the ten invariants."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jobs.audit.verify import HASHING, INVARIANTS, run


class Command(BaseCommand):
    help = "Recompute the books and check the files. Exit with 1 if anything differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--quick", action="store_true", help=f"skip invariant {HASHING}, which reads all results"
        )

    def handle(self, *_: Any, quick: bool, **_options: Any) -> None:
        began = time.monotonic()
        verification = run(quick=quick, report=self._report)
        count = len(verification.findings)
        self.stdout.write(f"Findings: {count}, in {time.monotonic() - began:.1f} s.")
        if count:
            sys.exit(1)

    def _report(self, number: int, findings: list[str]) -> None:
        title, _find = INVARIANTS[number]
        self.stdout.write(f"{number:>2}  {title}: {'ok' if not findings else len(findings)}")
        for sentence in findings:
            self.stdout.write(f"      {sentence}")
