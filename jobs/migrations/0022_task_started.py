from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0021_webhook_enabled")]

    operations = [
        migrations.AddField(
            model_name="periodictask",
            name="started_at",
            field=models.DateTimeField(null=True),
        ),
    ]
