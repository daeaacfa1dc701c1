"""``manage.py recompute_usage``: mend the roll-up of usage by the ledger and the jobs."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Team
from jobs.audit import usage_rollup


class Command(BaseCommand):
    help = "Recompute each team's usage by day, and mend what differs. Nothing in the ledger changes."

    def handle(self, *_: Any, **_options: Any) -> None:
        mended = sum(usage_rollup.mend(team) for team in Team.objects.order_by("pk"))
        self.stdout.write(f"Rows mended: {mended}.")
