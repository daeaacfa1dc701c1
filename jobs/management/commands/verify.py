"""``manage.py verify [--quick]``: looks whether the ten invariants hold."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jobs.audit.verify import HASHING, INVARIANTS, run


class Command(BaseCommand):
    help = "Recomputes the books and looks at the files. Exits with 1 where anything differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--quick", action="store_true", help=f"without {HASHING}, which reads all results"
        )

    def handle(self, *_: Any, quick: bool, **_options: Any) -> None:
        began = time.monotonic()
        verification = run(quick=quick, tell=self._tell)
        count = len(verification.findings)
        self.stdout.write(f"Findings: {count}, in {time.monotonic() - began:.1f} s.")
        if count:
            sys.exit(1)

    def _tell(self, number: int, findings: list[str]) -> None:
        title, _find = INVARIANTS[number]
        self.stdout.write(f"{number:>2}  {title}: {'ok' if not findings else len(findings)}")
        for sentence in findings:
            self.stdout.write(f"      {sentence}")
