"""``manage.py export_team``: write all that a team owns as a ZIP to the standard output."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from jobs.retention import team_export


class Command(BaseCommand):
    help = (
        "Write a team's books, people and pictures as a ZIP to the standard output: export_team SLUG > file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, *_: Any, slug: str, **_options: Any) -> None:
        try:
            team = Team.objects.get(slug=slug)
        except Team.DoesNotExist as error:
            raise CommandError(f"There is no team {slug!r}.") from error
        for block in team_export.stream(team):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
