"""The statements that fill the tables for ``bench.speed.many_rows``; SQLite and PostgreSQL both know them.

A thousandth of the jobs failed and one in 20,000 is in doubt; a fifth are another team's, half came by a key.
"""

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})"
STATE = "CASE WHEN i % 20000 = 7 THEN '{doubt}' WHEN i % 1000 = 0 THEN '{failed}' ELSE '{done}' END"
JOB_STATE = STATE.format(doubt="in_doubt", failed="failed", done="done")
ATTEMPT_STATE = STATE.format(doubt="in_doubt", failed="released", done="booked")
MINE = "i % 5 <> 0"

JOBS = f"""
INSERT INTO jobs_job (id, team_id, created_by_id, api_key_id, origin, request_id, request_sha256, batch,
  options, test, name, source, source_sha256, source_bytes, content_type, width, height,
  estimated_microcredits, state, reason, priority, run_after, lease_until, fence, worker, result,
  result_sha256, result_bytes, created_at, updated_at)
{NUMBERS}
SELECT i, CASE WHEN {MINE} THEN {{team}} ELSE {{other}} END, {{user}}, CASE WHEN i % 2 = 0 THEN {{key}} END,
  CASE WHEN i % 2 = 1 THEN 'browser' WHEN i % 5000 = 2 THEN 'drop_in' ELSE 'api' END, {{request}}, '',
  {{batch}}, '{{{{}}}}', (i % 5000 = 3), 'photo-' || i || '.jpg', 'sources/' || i || '.jpg', {{sha}}, 200000,
  'image/jpeg', 1000, 1000, 1000000, {JOB_STATE}, CASE WHEN i % 1000 = 0 THEN 'refused' ELSE '' END, 0,
  {{at}}, NULL, 1, 'host:1:t1', 'results/' || i || '.png', {{sha}}, 300000, {{at}}, {{at}}
FROM n
"""  # noqa: S608

TRANSFERS = f"""
INSERT INTO accounts_transfer (id, debit_id, credit_id, amount_microcredits, kind, idempotency_key, hold_id,
  resolution, reference, actor_id, api_key_id, memo, created_at)
{NUMBERS}
"""
HOLDS = f"""{TRANSFERS}
SELECT {{base}} + 2 * i - 1, CASE WHEN {MINE} THEN {{available}} ELSE {{other_available}} END,
  CASE WHEN {MINE} THEN {{held}} ELSE {{other_held}} END, 1000000, 'hold', 'hold:job:' || i || ':1', NULL, '',
  'job:' || i || ':1', {{user}}, CASE WHEN i % 2 = 0 THEN {{key}} END, '', {{at}}
FROM n
"""  # noqa: S608
SETTLES = f"""{TRANSFERS}
SELECT {{base}} + 2 * i, CASE WHEN {MINE} THEN {{held}} ELSE {{other_held}} END,
  CASE WHEN i % 1000 = 0 THEN CASE WHEN {MINE} THEN {{available}} ELSE {{other_available}} END
    WHEN {MINE} THEN {{spent}} ELSE {{other_spent}} END,
  1000000, CASE WHEN i % 1000 = 0 THEN 'release' ELSE 'settle' END, 'settle:' || ({{base}} + 2 * i - 1),
  {{base}} + 2 * i - 1, 'close', 'job:' || i || ':1', {{user}}, NULL, '', {{at}}
FROM n WHERE i % 20000 <> 7
"""  # noqa: S608

ATTEMPTS = f"""
INSERT INTO jobs_attempt (id, job_id, number, state, sends, hold_id, test, prepared_at, sent_at, answered_at,
  ended_at, status, headers, charged_header, charged_microcredits, error_code, error_message,
  resolved_microcredits, reviewed_by_id, reviewed_at, review_note)
{NUMBERS}
SELECT i, i, 1, {ATTEMPT_STATE}, 1, {{base}} + 2 * i - 1, (1 = 0), {{at}}, {{at}}, {{at}}, {{at}},
  CASE WHEN i % 1000 = 0 THEN 400 ELSE 200 END, '[]', '1', 1000000, NULL, '', NULL, NULL, NULL, ''
FROM n
"""  # noqa: S608
