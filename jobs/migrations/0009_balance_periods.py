from django.db import migrations, models


def fill(apps, schema_editor):
    """Make the periods between the balances that there are; each is computed when it is looked at."""
    snapshot, period = apps.get_model('jobs', 'BalanceSnapshot'), apps.get_model('jobs', 'BalancePeriod')
    last, rows = None, []
    for row in snapshot.objects.order_by('pk').defer('answer').iterator():
        if last and last.account_id == row.account_id:
            if row.asked_at < last.came_at:
                continue
            rows.append(period(account_id=row.account_id, opening_id=last.pk, closing_id=row.pk, computed_at=None))
        last = row
    period.objects.bulk_create(rows, batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0008_fill_usage'),
    ]

    operations = [
        migrations.AddField(
            model_name='balanceperiod',
            name='changes',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='balanceperiod',
            name='notable',
            field=models.JSONField(default=dict),
        ),
        migrations.AlterField(
            model_name='balanceperiod',
            name='computed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='balanceperiod',
            index=models.Index(condition=models.Q(('is_final', False)), fields=['account'], name='period_open'),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
