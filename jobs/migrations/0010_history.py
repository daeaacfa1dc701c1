import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

COLUMNS = ("team", "created_by", "api_key")


def drop_indexes(apps, schema_editor):
    """Drop the indexes of these columns alone: longer ones begin with them.

    Altering the fields would do it too, and rebuild the whole table three times on SQLite.
    """
    job = apps.get_model("jobs", "Job")
    alone = [[job._meta.get_field(name).column] for name in COLUMNS]
    with schema_editor.connection.cursor() as cursor:
        found = schema_editor.connection.introspection.get_constraints(cursor, job._meta.db_table)
    for name, index in found.items():
        if index["index"] and not index["unique"] and index["columns"] in alone:
            schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


def create_indexes(apps, schema_editor):
    job = apps.get_model("jobs", "Job")
    for name in COLUMNS:
        schema_editor.execute(schema_editor._create_index_sql(job, fields=[job._meta.get_field(name)]))


def key_to(model, **more):
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="jobs",
        to=model,
        **more,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_statement_complete"),
        ("jobs", "0009_balance_periods"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(drop_indexes, create_indexes)],
            [
                migrations.AlterField("job", "team", key_to("accounts.team")),
                migrations.AlterField("job", "created_by", key_to(settings.AUTH_USER_MODEL)),
                migrations.AlterField("job", "api_key", key_to("accounts.apikey", null=True)),
            ],
        ),
        migrations.AddIndex(
            "attempt",
            models.Index(fields=["-job"], condition=models.Q(state="released"), name="attempt_released"),
        ),
        migrations.AddIndex(
            "job", models.Index(fields=["created_by", "team", "-id"], name="job_by_person")
        ),
        migrations.AddIndex("job", models.Index(fields=["team", "origin", "-id"], name="job_by_origin")),
        migrations.AddIndex(
            "job", models.Index(fields=["team", "-id"], condition=models.Q(test=True), name="job_tests")
        ),
    ]
