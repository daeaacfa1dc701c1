-- The statements of accounts.ledger.operations.hold and settle for pgbench: hold 1,000, charge 600, release 400.
-- bench.speed.ledger passes :run, :teams, :first_team and :first_account; a team's accounts have ids in a row.
-- What is available afterwards is written as 0, which costs as much as the right number.
\set number :number + 1
\set nth :client_id % :teams
\set team :first_team + :nth
\set available :first_account + 4 * :nth
\set held :available + 1
\set spent :available + 2

BEGIN;
SELECT kind, id, balance_microcredits, team_id FROM accounts_ledgeraccount WHERE team_id = :team ORDER BY id FOR UPDATE;
INSERT INTO accounts_transfer (debit_id, credit_id, amount_microcredits, kind, idempotency_key, hold_id, resolution, reference, actor_id, api_key_id, memo, team_id, spender_id, available_microcredits, created_at) VALUES (:available, :held, 1000, 'hold', concat_ws('-', 'raw', :run, :client_id, :number), NULL, '', 'bench', NULL, NULL, '', :team, NULL, 0, now()) ON CONFLICT DO NOTHING RETURNING id, EXISTS (SELECT 1 FROM accounts_allowance WHERE team_id = :team) \gset
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits + moved.column2 FROM (VALUES (:available, -1000, 1), (:held, 1000, 1)) AS moved WHERE id = moved.column1 AND (balance_microcredits + moved.column2) * moved.column3 >= 0;
COMMIT;

BEGIN;
SELECT kind, id, balance_microcredits, team_id FROM accounts_ledgeraccount WHERE team_id = (SELECT team_id FROM accounts_ledgeraccount WHERE id = :available) ORDER BY id FOR UPDATE;
INSERT INTO accounts_transfer (debit_id, credit_id, amount_microcredits, kind, idempotency_key, hold_id, resolution, reference, actor_id, api_key_id, memo, team_id, spender_id, available_microcredits, created_at) VALUES (:held, :spent, 600, 'settle', concat('settle:', :id), :id, 'close', 'bench', NULL, NULL, '', :team, NULL, 0, now()), (:held, :available, 400, 'release', concat('remainder:', :id), :id, 'remainder', 'bench', NULL, NULL, '', :team, NULL, 0, now()) ON CONFLICT DO NOTHING RETURNING id, EXISTS (SELECT 1 FROM accounts_allowance WHERE team_id = :team);
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits + moved.column2 FROM (VALUES (:held, -1000, 1), (:spent, 600, 1), (:available, 400, 1)) AS moved WHERE id = moved.column1 AND (balance_microcredits + moved.column2) * moved.column3 >= 0;
COMMIT;
