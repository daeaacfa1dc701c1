import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_batches_of_jobs")]
    operations = [
        migrations.AlterField(
            model_name='job',
            name='batch',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='jobs.batch'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['batch', 'updated_at'], name='job_batch_changes'),
        ),
    ]
