from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0022_task_started")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="original_sha256",
            field=models.CharField(max_length=64, null=True),
        ),
    ]
