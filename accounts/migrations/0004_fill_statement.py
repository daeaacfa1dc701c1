from django.db import migrations

from accounts.ledger import triggers

FILL = """
UPDATE accounts_transfer SET
    team_id = filled.team_id, available_microcredits = filled.available,
    spender_id = filled.spender_id, api_key_id = filled.api_key_id
FROM (
    SELECT transfer.id, COALESCE(debit.team_id, credit.team_id) AS team_id,
        CASE WHEN hold.id IS NOT NULL THEN hold.actor_id
             WHEN transfer.kind = 'hold' THEN transfer.actor_id END AS spender_id,
        COALESCE(transfer.api_key_id, hold.api_key_id) AS api_key_id,
        SUM(CASE WHEN credit.kind = 'available' THEN transfer.amount_microcredits
                 WHEN debit.kind = 'available' THEN -transfer.amount_microcredits ELSE 0 END)
            OVER (PARTITION BY COALESCE(debit.team_id, credit.team_id) ORDER BY transfer.id) AS available
    FROM accounts_transfer transfer
    JOIN accounts_ledgeraccount debit ON debit.id = transfer.debit_id
    JOIN accounts_ledgeraccount credit ON credit.id = transfer.credit_id
    LEFT JOIN accounts_transfer hold ON hold.id = COALESCE(transfer.hold_id,
        CASE WHEN transfer.kind = 'adjust' AND SUBSTR(transfer.idempotency_key, 1, 7) = 'covers:'
             THEN CAST(SUBSTR(transfer.idempotency_key, 8) AS bigint) END)
) AS filled
WHERE accounts_transfer.id = filled.id
"""


def fill(apps, schema_editor):
    """Compute the new columns of the transfers there are. Every migrate puts the guard up again."""
    triggers.unguard(schema_editor.connection)
    schema_editor.execute(FILL)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_audit_log_and_statement'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
