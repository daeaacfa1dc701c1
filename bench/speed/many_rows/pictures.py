"""Pictures, and what comes with each."""

from collections.abc import Iterator

from accounts.ledger.money import MICROCREDITS
from bench.speed.many_rows.owners import BROWSER, FAILED, IN_DOUBT, MINE, Owners
from jobs.models import Batch, BatchFile, Job, Rendition

IN_LAST_BATCH = 2000
"""Of so many of the last pictures, those of the team that came by a browser are one batch: some 860."""


def statements(owners: Owners) -> Iterator[str]:
    yield from (batches(owners), pictures(owners), files(owners), renditions(owners))


def last_batch(owners: Owners) -> int:
    return owners.jobs // 20 + 1


def batches(owners: Owners) -> str:
    """Twenty pictures in a row, ten of them by a browser, have one."""
    is_mine = f"i > {last_batch(owners)} OR (i - 1) % 7 <> 0"
    of = owners.rows.at(f"CASE WHEN i > {last_batch(owners)} THEN {owners.jobs} ELSE 20 * i END")
    return owners.rows.insert(
        Batch,
        last_batch(owners) + 1,
        id=owners.rows.uuid("i - 1"),
        team_id=f"CASE WHEN {is_mine} THEN {owners.team} ELSE {owners.other} END",
        created_by_id=str(owners.person),
        name="'Drop ' || i",
        created_at=of,
        updated_at=of,
        finished_at=of,
    )


def batch(owners: Owners) -> str:
    is_last = f"i > {owners.jobs - IN_LAST_BATCH} AND {MINE}"
    return owners.rows.uuid(f"CASE WHEN {is_last} THEN {last_batch(owners)} ELSE i / 20 END")


def pictures(owners: Owners) -> str:
    return owners.rows.insert(
        Job,
        owners.jobs,
        id="i",
        team_id=owners.whose,
        created_by_id=owners.spender,
        api_key_id=owners.api_key,
        origin=f"CASE WHEN {BROWSER} THEN 'browser' WHEN i % 5000 = 2 THEN 'drop_in' ELSE 'api' END",
        request_id=owners.rows.uuid(),
        batch_id=f"CASE WHEN {BROWSER} THEN {batch(owners)} END",
        number=f"CASE WHEN {BROWSER} THEN i % {IN_LAST_BATCH} ELSE 0 END",
        test="(i % 5000 = 3)",
        name="'photo-' || i || '.jpg'",
        source="'sources/' || i || '.jpg'",
        source_sha256=owners.rows.hex(),
        source_bytes="200000",
        content_type="'image/jpeg'",
        width="1000",
        height="1000",
        estimated_microcredits=str(MICROCREDITS),
        state=f"CASE WHEN {IN_DOUBT} THEN 'in_doubt' WHEN {FAILED} THEN 'failed' ELSE 'done' END",
        reason=f"CASE WHEN {IN_DOUBT} THEN 'unanswered' WHEN {FAILED} THEN 'refused' ELSE '' END",
        fence="1",
        worker="'host:1:t1'",
        result="'results/' || i || '.png'",
        result_sha256=owners.rows.hex(),
        result_bytes="300000",
        proof="CASE WHEN i % 10 = 1 THEN 'approved' WHEN i % 100 = 3 THEN 'rejected' ELSE '' END",
    )


def files(owners: Owners) -> str:
    return owners.rows.insert(
        BatchFile,
        owners.jobs,
        BROWSER,
        batch_id=batch(owners),
        request_id=owners.rows.uuid(),
        number=f"i % {IN_LAST_BATCH}",
        name="'photo-' || i || '.jpg'",
        sha256=owners.rows.hex(),
        bytes="200000",
        width="1000",
        height="1000",
    )


def renditions(owners: Owners) -> str:
    return owners.rows.insert(
        Rendition,
        owners.jobs,
        "i % 4 = 1",
        job_id="i",
        style_sha256=owners.rows.hex(),
        state="'made'",
        file="'renditions/' || i || '.jpg'",
        content_type="'image/jpeg'",
        sha256=owners.rows.hex(),
        bytes="100000",
        width="1000",
        height="1000",
    )
