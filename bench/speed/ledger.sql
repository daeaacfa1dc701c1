-- What accounts.ledger.hold and settle send, as raw SQL for pgbench: 1,000 held, 600 charged, 400 given back.
-- :run, :teams, :first_team and :first_account come from bench.ledger; a team's accounts are numbered in a row.
\set number :number + 1
\set nth :client_id % :teams
\set team :first_team + :nth
\set available :first_account + 4 * :nth
\set held :available + 1
\set spent :available + 2

BEGIN;
SELECT id, team_id, kind, balance_microcredits FROM accounts_ledgeraccount WHERE team_id = :team ORDER BY id FOR UPDATE;
INSERT INTO accounts_transfer (debit_id, credit_id, amount_microcredits, kind, idempotency_key, hold_id, resolution, reference, actor_id, memo, created_at) VALUES (:available, :held, 1000, 'hold', concat_ws('-', 'raw', :run, :client_id, :number), NULL, '', 'bench', NULL, '', now()) RETURNING id \gset
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits + moved.column2 FROM (VALUES (:available, -1000, 1), (:held, 1000, 1)) AS moved WHERE id = moved.column1 AND (balance_microcredits + moved.column2) * moved.column3 >= 0;
COMMIT;

BEGIN;
SELECT id, team_id, kind, balance_microcredits FROM accounts_ledgeraccount WHERE team_id = :team ORDER BY id FOR UPDATE;
INSERT INTO accounts_transfer (debit_id, credit_id, amount_microcredits, kind, idempotency_key, hold_id, resolution, reference, actor_id, memo, created_at) VALUES (:held, :spent, 600, 'settle', concat('settle:', :id), :id, 'close', 'bench', NULL, '', now()), (:held, :available, 400, 'release', concat('remainder:', :id), :id, 'remainder', 'bench', NULL, '', now()) RETURNING id;
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits + moved.column2 FROM (VALUES (:held, -1000, 1), (:spent, 600, 1), (:available, 400, 1)) AS moved WHERE id = moved.column1 AND (balance_microcredits + moved.column2) * moved.column3 >= 0;
COMMIT;
