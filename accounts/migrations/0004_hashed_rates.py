from django.db import migrations, models

EMPTY = "DELETE FROM accounts_rate", "DELETE FROM accounts_counted"
"""Counts of a few minutes, whose keys named addresses in the clear."""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_counted")]

    operations = [
        *(migrations.RunSQL(statement, migrations.RunSQL.noop) for statement in EMPTY),
        migrations.AlterField(
            model_name="rate",
            name="subject",
            field=models.CharField(max_length=64, primary_key=True, serialize=False),
        ),
    ]
