from uuid import uuid4

from django.conf import settings
from django.db import migrations


def fill(apps, schema_editor):
    """Give each balance and purchase its account. Only the address was recorded: the API Id is today's."""
    account, snapshot, purchase = (
        apps.get_model('jobs', name) for name in ('UpstreamAccount', 'BalanceSnapshot', 'Purchase')
    )
    addresses = {upstream for model in (snapshot, purchase) for (upstream,) in model.objects.values_list('upstream')}
    for upstream in sorted(addresses):
        api_id = settings.PIXIAN_API_ID if upstream == settings.PIXIAN_API_URL else ''
        row, _ = account.objects.get_or_create(upstream=upstream, api_id=api_id)
        snapshot.objects.filter(upstream=upstream).update(account=row)
        purchase.objects.filter(upstream=upstream).update(account=row)
    for row in purchase.objects.all():
        row.token = uuid4()
        row.save()


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0005_open_books'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
