from uuid import UUID

from django.conf import settings
from django.db import migrations

COUNTS = ('calls', 'pixels', 'estimated', 'held', 'booked', 'duplicates', 'saved', 'renditions')
KEYS = ('team_id', 'day', 'spender_id', 'api_key_id', 'batch_id', 'origin')
FILL = """
SELECT {keys}, {sums} FROM (
    SELECT settle.team_id, {booking_day} AS day, COALESCE(settle.spender_id, job.created_by_id) AS spender_id,
        settle.api_key_id, job.batch_id, job.origin, 1 AS calls,
        CAST(job.width AS bigint) * job.height AS pixels, job.estimated_microcredits AS estimated,
        hold.amount_microcredits AS held,
        settle.amount_microcredits + COALESCE(excess.amount_microcredits, 0) AS booked,
        0 AS duplicates, 0 AS saved, 0 AS renditions
    FROM accounts_transfer settle
    JOIN accounts_transfer hold ON hold.id = settle.hold_id
    JOIN jobs_attempt attempt ON attempt.hold_id = hold.id
    JOIN jobs_job job ON job.id = attempt.job_id
    LEFT JOIN accounts_transfer excess ON excess.hold_id = hold.id AND excess.resolution = 'excess'
    WHERE settle.kind = 'settle'
    UNION ALL
    SELECT job.team_id, {reuse_day}, job.created_by_id, job.api_key_id, job.batch_id, job.origin,
        0, 0, 0, 0, 0, 1, source.estimated_microcredits, 0
    FROM jobs_job job JOIN jobs_job source ON source.id = job.reused_from_id
    UNION ALL
    SELECT job.team_id, {rendition_day}, job.created_by_id, job.api_key_id, job.batch_id, job.origin,
        0, 0, 0, 0, 0, 0, 0, 1
    FROM jobs_rendition rendition JOIN jobs_job job ON job.id = rendition.job_id WHERE rendition.state = 'made'
) AS counted
GROUP BY {keys}
"""
TIMES = {'booking': 'settle.created_at', 'reuse': 'job.created_at', 'rendition': 'rendition.updated_at'}
ROWS_AT_ONCE = 1000


def fill(apps, schema_editor):
    """Sum up what was booked and reused, and the renditions that are there: of others nothing is known."""
    connection = schema_editor.connection
    days, params = {}, []
    for name, column in TIMES.items():
        days[f'{name}_day'], more = connection.ops.datetime_cast_date_sql(column, (), settings.TIME_ZONE)
        params += more
    sums = ', '.join(f'SUM({name})' for name in COUNTS)
    row_of = apps.get_model('jobs', 'UsageDay')
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(keys=', '.join(KEYS), sums=sums, **days), params)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            row_of.objects.bulk_create([usage_day(row_of, row) for row in rows])


def usage_day(row_of, values):
    row = row_of(**dict(zip((*KEYS, *COUNTS), values, strict=True)))
    row.batch_id = row.batch_id and UUID(str(row.batch_id))
    row.bucket = f"{row.spender_id}/{row.api_key_id or ''}/{row.batch_id or ''}/{row.origin}"
    return row


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_statement_complete'),
        ('jobs', '0007_accounts_complete'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
