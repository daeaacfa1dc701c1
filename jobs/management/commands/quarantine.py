"""``manage.py quarantine [put-back | move | remove]``: manage the files that no row refers to."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from accounts.management.arguments import whole_number
from jobs.storage import instance, inventory, quarantine, strays
from jobs.storage.files import StorageUnavailableError

MIN_DAYS = quarantine.MIN_AGE.days
MAX_DAYS = 10_000


class Command(BaseCommand):
    help = "List the files in quarantine, put them back, move more there, or delete old ones permanently."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        back = actions.add_parser("put-back", help="to their old names, never replacing another file")
        back.add_argument("names", nargs="*", metavar="NAME", help="old names; all files if none are given")
        actions.add_parser("move", help="quarantine all files that no row refers to, however many")
        away = actions.add_parser("remove", help="permanently delete files that were moved long ago")
        away.add_argument(
            "--older-than",
            type=whole_number(MIN_DAYS, MAX_DAYS),
            required=True,
            metavar="DAYS",
            help=f"at least {MIN_DAYS}",
        )
        away.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *_: Any, action: str | None, **options: Any) -> None:
        try:
            match action:
                case "put-back":
                    self._put_back(options["names"])
                case "move":
                    self._move()
                case "remove":
                    self._remove(options["older_than"], yes=options["yes"])
                case _:
                    self._list()
        except (instance.ForeignFilesError, StorageUnavailableError) as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        files = list(quarantine.contents())
        for file in files:
            since = f"{file.at:%Y-%m-%d %H:%M} UTC" if file.at else "unknown"
            self.stdout.write(f"{since}  {filesizeformat(file.size)}  {file.name}")
        self.stdout.write(f"In quarantine: {len(files)}.")
        in_place = list(strays.find_strays(inventory.stored_names()))
        for name in in_place:
            self.stdout.write(f"in place  {name}")
        self.stdout.write(f"In place, and no row refers to them: {len(in_place)}.")

    def _put_back(self, names: list[str]) -> None:
        if unknown := set(names) - {file.name for file in quarantine.contents()}:
            raise CommandError(f"Not in quarantine: {', '.join(sorted(unknown))}.")
        back, taken = quarantine.put_back(names)
        for name in taken:
            self.stdout.write(f"not put back, its name is taken: {name}")
        self.stdout.write(f"Put back: {len(back)}.")
        if unreferenced := len(back) - len(inventory.referenced(back)):
            self.stdout.write(f"No row refers to {unreferenced} of them, so verify will report them again.")
        if taken:
            raise CommandError(f"Not put back: {len(taken)}.")

    def _move(self) -> None:
        report = strays.sweep(limited=False)
        for name in report.left:
            self.stdout.write(f"not moved, this storage can't rename: {name}")
        self.stdout.write(f"Moved to quarantine: {len(report.moved)} of {report.total} files.")

    def _remove(self, days: int, *, yes: bool) -> None:
        if not yes:
            raise CommandError("Nothing was deleted. This can't be undone; add --yes to do it.")
        count, size = quarantine.remove(timedelta(days=days))
        self.stdout.write(f"Deleted permanently: {count} files, {filesizeformat(size)}.")
