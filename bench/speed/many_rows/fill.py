"""Fill an empty database by the database itself."""

import sys
import time

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction

from bench.speed.many_rows import derived, money, owners, pictures
from bench.speed.vacuum import vacuum


def fill(jobs: int) -> None:
    """Fill all tables with what comes with so many pictures."""
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        made = owners.made(jobs)
        for table in (pictures, money, derived):
            for statement in table.statements(made):
                cursor.execute(statement)
        models = [model for app in ("accounts", "jobs") for model in apps.get_app_config(app).get_models()]
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
    vacuum()
    sys.stdout.write(f"filled in {time.perf_counter() - began:.0f} s\n")
