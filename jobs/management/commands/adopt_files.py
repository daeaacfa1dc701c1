"""``manage.py adopt_files --yes``: say that the folder of files belongs to this database."""

from argparse import ArgumentParser
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.storage import files, instance
from jobs.storage.instance import SAMPLE, ForeignFilesError


class Command(BaseCommand):
    help = (
        "Gives the folder of files this database's id, so that files which no row names may be moved aside."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it; without this, only say what is there")

    def handle(self, *_: Any, yes: bool, **_options: Any) -> None:
        try:
            instance.check()
        except ForeignFilesError as error:
            self.stdout.write(str(error))
        else:
            self.stdout.write("The files are this database's already.")
            return
        seen = list(islice(files.stored_names(), SAMPLE))
        named = len(files.named_among(seen))
        self.stdout.write(f"Of the first {len(seen)} files this database names {named}.")
        if not yes:
            raise CommandError("Nothing was changed. With --yes the folder is this database's from now on.")
        instance.adopt()
        self.stdout.write("The folder is this database's from now on. Nothing in it was moved.")
