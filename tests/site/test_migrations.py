"""Migrations leave the processes of the previous release what they use (see CONTRIBUTING)."""

from collections.abc import Iterator

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.fields import NOT_PROVIDED

pytestmark = pytest.mark.house

RULED_FROM = {"accounts": "0007", "jobs": "0014"}
"""The first migration of each app that the rules hold for."""


def breaking(app: str, before: ProjectState, after: ProjectState) -> Iterator[str]:
    """Name what the previous release's processes miss, or can't insert, after a migration."""
    for (label, name), model in before.models.items():
        if label != app:
            continue
        changed = after.models.get((label, name))
        if changed is None:
            yield f"{name} is removed or renamed"
            continue
        yield from (f"{name}.{field} is removed or renamed" for field in model.fields.keys() - changed.fields)
        yield from (
            f"{name}.{field} needs a value" for field in sorted(_required(changed) - _required(model))
        )


def _required(model: ModelState) -> set[str]:
    """Return the columns that each INSERT must name."""
    return {
        name
        for name, field in model.fields.items()
        if not (field.null or field.many_to_many or field.primary_key) and field.db_default is NOT_PROVIDED
    }


def breaks_of(migration: migrations.Migration, before: ProjectState) -> list[str]:
    return list(breaking(migration.app_label, before, migration.mutate_state(before)))


def test_a_migration_breaks_no_process_of_the_previous_release() -> None:
    loader = MigrationLoader(None)
    found = [
        f"{app} {name}: {wrong}"
        for app, name in sorted(loader.disk_migrations)
        if name >= RULED_FROM.get(app, "~")
        for wrong in breaks_of(
            loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False)
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("operation", "breaks"),
    [
        (migrations.AddField("ramp", "colour", models.CharField(default="")), "ramp.colour needs a value"),
        (
            migrations.AlterField("job", "lease_until", models.DateTimeField()),
            "job.lease_until needs a value",
        ),
        (migrations.RemoveField("job", "priority"), "job.priority is removed or renamed"),
        (migrations.RenameField("job", "priority", "rank"), "job.priority is removed or renamed"),
        (migrations.DeleteModel("ramp"), "ramp is removed or renamed"),
    ],
)
def test_control_each_kind_of_break_is_found(
    operation: migrations.operations.base.Operation, breaks: str
) -> None:
    migration = migrations.Migration("9999_planted", "jobs")
    migration.operations = [operation]  # type: ignore[misc]
    assert breaks in breaks_of(migration, MigrationLoader(None).project_state())


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("ramp", "colour", models.CharField(default="", db_default="")),
        migrations.AddField("ramp", "seen_at", models.DateTimeField(null=True)),
        migrations.CreateModel("colour", [("id", models.BigAutoField(primary_key=True))]),
    ],
)
def test_what_is_only_added_breaks_nothing(operation: migrations.operations.base.Operation) -> None:
    migration = migrations.Migration("9999_planted", "jobs")
    migration.operations = [operation]  # type: ignore[misc]
    assert breaks_of(migration, MigrationLoader(None).project_state()) == []
