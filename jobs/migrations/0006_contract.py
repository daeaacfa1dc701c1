"""Names of ignored parameters, and names of pictures without the paths that some clients sent."""

from django.db import migrations, models
from django.db.models import Q

from pixian.protocol import file_names

AT_ONCE = 500


def without_paths(apps, schema_editor):
    Job = apps.get_model("jobs", "Job")
    wrong = Q(name="") | Q(name__in=(".", "..")) | Q(name__endswith=" ") | Q(name__startswith=" ")
    for mark in ("/", "\\", "%22", "%0"):
        wrong |= Q(name__contains=mark)
    wrong |= Q(name__regex=r"^[A-Za-z]:")
    jobs = []
    for job in Job.objects.filter(wrong).only("name").order_by("pk").iterator(AT_ONCE):
        job.name = file_names.clean(job.name) or file_names.UNNAMED
        jobs.append(job)
    Job.objects.bulk_update(jobs, ["name"], batch_size=AT_ONCE)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_storage")]

    operations = [
        migrations.AddField("job", "ignored", models.JSONField(default=list)),
        migrations.RunPython(without_paths, migrations.RunPython.noop, elidable=True),
    ]
