"""``manage.py quarantine [put-back | move | remove]``: the files that no row names."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from jobs.storage import files, instance, quarantine

LEAST_DAYS = quarantine.LEAST_AGE.days


class Command(BaseCommand):
    help = "Lists the files in quarantine, puts them back, moves more there, or removes old ones for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        back = actions.add_parser("put-back", help="to their old names, which are never taken from others")
        back.add_argument("names", nargs="*", metavar="NAME", help="old names; all files if none is given")
        actions.add_parser("move", help="all files that no row names, however many they are")
        away = actions.add_parser("remove", help="for good, what has lain here for some time")
        away.add_argument(
            "--older-than", type=int, required=True, metavar="DAYS", help=f"{LEAST_DAYS} at least"
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
        except instance.ForeignFilesError as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        kept = list(quarantine.kept())
        for file in kept:
            since = f"{file.at:%Y-%m-%d %H:%M} UTC" if file.at else "unknown"
            self.stdout.write(f"{since}  {filesizeformat(file.size)}  {file.name}")
        self.stdout.write(f"In quarantine: {len(kept)}.")
        left = list(quarantine.strays(set(files.stored_names())))
        for name in left:
            self.stdout.write(f"in its place  {name}")
        self.stdout.write(f"In their places, and no row names them: {len(left)}.")

    def _put_back(self, names: list[str]) -> None:
        if unknown := set(names) - {file.name for file in quarantine.kept()}:
            raise CommandError(f"Not in quarantine: {', '.join(sorted(unknown))}.")
        back, taken = quarantine.put_back(names)
        for name in taken:
            self.stdout.write(f"stays, since its name is taken: {name}")
        self.stdout.write(f"Put back: {len(back)}.")
        if unnamed := len(back) - len(files.named_among(back)):
            self.stdout.write(f"No row names {unnamed} of them, so the next verification finds them again.")
        if taken:
            raise CommandError(f"Not put back: {len(taken)}.")

    def _move(self) -> None:
        report = quarantine.sweep(braked=False)
        for name in report.left:
            self.stdout.write(f"stays, since this storage can't rename: {name}")
        self.stdout.write(f"Moved to quarantine: {len(report.moved)} of {report.total} files.")

    def _remove(self, days: int, *, yes: bool) -> None:
        if days < LEAST_DAYS:
            raise CommandError(f"--older-than {days} is too soon; {LEAST_DAYS} days are the least.")
        if not yes:
            raise CommandError("Nothing was removed. It can't be undone; with --yes it is done.")
        count, size = quarantine.remove(timedelta(days=days))
        self.stdout.write(f"Removed for good: {count} files, {filesizeformat(size)}.")
