"""Forget the learned prices: calls with ``max_pixels`` have taught too low ones, of too large pictures."""

from typing import Any

from django.db import migrations
from django.utils import timezone


def forget(apps: Any, _schema_editor: Any) -> None:
    apps.get_model("jobs", "Price").objects.update(
        since=timezone.now(), microcredits_per_megapixel=0, lower_charges=0, highest_lower=0
    )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0019_test_priority")]

    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
