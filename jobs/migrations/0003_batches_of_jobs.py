"""Give the pictures of each drop a batch of their own. A program's call has none from now on."""

from django.db import migrations
from django.db.models import Max, Min


def make_batches(apps, _schema_editor):
    Job, Batch = apps.get_model("jobs", "Job"), apps.get_model("jobs", "Batch")
    dropped = Job.objects.filter(origin="browser")
    drops = dropped.order_by().values("batch", "team").annotate(
        began_at=Min("created_at"), ended_at=Max("updated_at"), created_by=Min("created_by")
    )
    for drop in list(drops):
        Batch.objects.create(
            pk=drop["batch"],
            team_id=drop["team"],
            created_by_id=drop["created_by"],
            name=drop["began_at"].strftime("%Y-%m-%d %H:%M"),
        )
        # Not in ``create``: the fields set themselves.
        Batch.objects.filter(pk=drop["batch"]).update(
            created_at=drop["began_at"], updated_at=drop["ended_at"]
        )
    Job.objects.exclude(origin="browser").update(batch=None)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_batches")]
    operations = [migrations.RunPython(make_batches, migrations.RunPython.noop)]
