"""The statements that fill the tables for ``bench.speed.usage_rows``; SQLite and PostgreSQL both know them.

A job comes every half a minute, in batches of 20 by one of four people. A fifth come by a key instead, one in
50 reuses the job before it, and a tenth cost nothing; others cost the hold, half of it or twice as much.
"""

from collections.abc import Iterator, Mapping
from string import Template

BY_KEY, REUSES, IN_VAIN = "i % 5 = 0", "i % 50 = 1 AND i > 1", "i % 10 = 9"
HELD = "((i % 7 + 1) * 250000)"
CHARGED = f"({HELD} * CASE WHEN i % 10 = 8 THEN 4 WHEN i % 10 > 5 THEN 1 ELSE 2 END / 2)"
BOOKS = f"NOT ({IN_VAIN}) AND"

BATCHES = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 20 FROM n WHERE i + 20 <= $jobs)
INSERT INTO jobs_batch (id, team_id, created_by_id, name, outputs, file_names, created_at, updated_at)
SELECT $batch, $team, $person, 'batch ' || i, '[{"name": "White", "style": {}}]', '{}', $at, $at FROM n
"""
JOBS = """
INSERT INTO jobs_job (id, team_id, created_by_id, api_key_id, origin, request_id, request_sha256, batch_id,
  number, options, ignored, test, name, folder, original, source, source_sha256, source_bytes, content_type,
  width, height, estimated_microcredits, state, reason, priority, run_after, fence, worker, result,
  result_sha256, result_bytes, reused_from_id, proof, created_at, updated_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
SELECT i, $team, $person, $by_key, CASE WHEN $is_by_key THEN 'api' ELSE 'browser' END, $request, '',
  CASE WHEN NOT ($is_by_key) THEN $batch END, 0, '{}', '[]', (1 = 0), 'photo-' || i || '.jpg', '', '',
  'sources/' || i, $sha, 200000, 'image/jpeg', 1000, 1000 + i % 100, $amount_held, 'done', '', 0, $at, 1, '',
  'results/' || i, $sha, 300000, CASE WHEN $reuses THEN i - 1 END, '', $at, $at
FROM n
"""
TRANSFERS = """
INSERT INTO accounts_transfer (id, debit_id, credit_id, kind, hold_id, resolution, amount_microcredits,
  idempotency_key, reference, actor_id, api_key_id, memo, team_id, spender_id, available_microcredits,
  created_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
SELECT $base + 3 * i + $columns, 'bench:' || ($base + 3 * i + $place), 'job:' || i || ':1', $person, $by_key,
  '', $team, $person, 0, $at
FROM n WHERE NOT ($reuses) AND $condition
"""
ATTEMPTS = """
INSERT INTO jobs_attempt (id, job_id, number, state, sends, hold_id, test, prepared_at, sent_at, answered_at,
  ended_at, status, headers, charged_header, charged_microcredits, error_message, doubt, booking_failures,
  booking_error, review_note)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
SELECT i, i, 1, CASE WHEN $in_vain THEN 'released' ELSE 'booked' END, 1, $base + 3 * i, (1 = 0), $at, $at,
  $at, $at, 200, '[]', '1', CASE WHEN $in_vain THEN 0 ELSE $amount_charged END, '', '', 0, '', ''
FROM n WHERE NOT ($reuses)
"""
LESSER = f"CASE WHEN {CHARGED} < {HELD} THEN {CHARGED} ELSE {HELD} END"
ENDS = "$base + 3 * i"
PARTS = (
    (0, "$available, $held, 'hold', NULL, ''", HELD, "1 = 1"),
    (1, f"$held, $spent, 'settle', {ENDS}, 'close'", LESSER, f"{BOOKS} 1 = 1"),
    (1, f"$held, $available, 'release', {ENDS}, 'close'", HELD, IN_VAIN),
    (
        2,
        f"$held, $available, 'release', {ENDS}, 'remainder'",
        f"{HELD} - {CHARGED}",
        f"{BOOKS} {CHARGED} < {HELD}",
    ),
    (2, f"$owed, $spent, 'overage', {ENDS}, 'excess'", f"{CHARGED} - {HELD}", f"{BOOKS} {CHARGED} > {HELD}"),
)
"""The transfers of a call: their place, sides, kind and part of the ending, amount, and of which jobs."""

OWN = {
    "sqlite": {
        "at": "strftime('%Y-%m-%d %H:%M:%f000', '$now', '-' || (($jobs - i) * 30) || ' seconds')",
        "sha": "printf('%064x', i)",
        "request": "printf('%032x', i)",
        "batch": "printf('%032x', i / 20)",
    },
    "postgresql": {
        "at": "timestamptz '$now' - ($jobs - i) * interval '30 seconds'",
        "sha": "lpad(to_hex(i), 64, '0')",
        "request": "lpad(to_hex(i), 32, '0')::uuid",
        "batch": "lpad(to_hex(i / 20), 32, '0')::uuid",
    },
}
SHARED = {
    "reuses": REUSES,
    "in_vain": IN_VAIN,
    "is_by_key": BY_KEY,
    "amount_held": HELD,
    "amount_charged": CHARGED,
    "person": "$people + (i / 20) % 4",
    "by_key": f"CASE WHEN {BY_KEY} THEN $key END",
}


def statements(vendor: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield the statements in their order. values: how many jobs, the time, and the keys of what is there."""
    for statement in (BATCHES, JOBS, *map(_transfers, PARTS), ATTEMPTS):
        with_words = Template(statement).safe_substitute(SHARED | OWN[vendor])
        yield Template(with_words).substitute(values)


def _transfers(part: tuple[int, str, str, str]) -> str:
    place, sides, amount, condition = part
    columns = f"{place}, {sides}, {amount}"
    return Template(TRANSFERS).safe_substitute(columns=columns, place=place, condition=condition)
