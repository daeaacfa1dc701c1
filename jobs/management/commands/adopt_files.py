"""``manage.py adopt_files --yes``: confirm that the folder of files belongs to this database."""

from argparse import ArgumentParser
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.storage import instance, inventory
from jobs.storage.instance import SAMPLE_FILES, ForeignFilesError


class Command(BaseCommand):
    help = "Give the folder of files this database's id, so that files no row refers to may be quarantined."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it, instead of only reporting")

    def handle(self, *_: Any, yes: bool, **_options: Any) -> None:
        try:
            instance.check()
        except ForeignFilesError as error:
            self.stdout.write(str(error))
        else:
            self.stdout.write("The files already belong to this database.")
            return
        names = list(islice(inventory.stored_names(), SAMPLE_FILES))
        referenced = len(inventory.referenced(names))
        self.stdout.write(f"This database refers to {referenced} of the first {len(names)} files.")
        if not yes:
            raise CommandError("Nothing was changed. --yes makes the folder belong to this database.")
        instance.adopt()
        self.stdout.write("The folder now belongs to this database. Nothing in it was moved.")
