"""``manage.py support_bundle > bundle.zip``: write what somebody who helps needs to know of this instance."""

import io
import sys
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.management.base import BaseCommand, CommandError

from pixian_web import support


class Command(BaseCommand):
    help = "Write a ZIP file for support to standard output. It holds no secret, email address or picture."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if sys.stdout.isatty():
            raise CommandError("Redirect it to a file: manage.py support_bundle > bundle.zip")
        packed = io.BytesIO()
        with ZipFile(packed, "w", ZIP_DEFLATED) as bundle:
            for name, text in support.contents():
                bundle.writestr(name, text)
        sys.stdout.buffer.write(packed.getvalue())
        sys.stdout.flush()
