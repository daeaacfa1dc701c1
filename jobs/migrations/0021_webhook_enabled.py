from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0020_reset_prices")]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="enabled_at",
            field=models.DateTimeField(null=True),
        ),
    ]
