"""Rows derived from the calls, balances of the account, and what people and programs were told."""

from collections.abc import Iterator

from accounts.ledger.money import MICROCREDITS
from accounts.models import AuditEntry, CreditRequest
from bench.speed.many_rows.owners import GRANTED, MINE, Owners
from jobs.models import BadResult, BalancePeriod, BalanceSnapshot, Delivery, Event, Purchase


def statements(owners: Owners) -> Iterator[str]:
    yield from (usage(), snapshots(owners), periods(owners), purchases(owners))
    yield from (audit(owners), requests(owners), reports(owners), events(owners), deliveries(owners))


def usage() -> str:
    """Sum up what is there, as the product does with each booking, and so day by day."""
    of = "team_id, date(created_at), created_by_id, api_key_id, batch_id, origin"
    batch = "COALESCE(CAST(batch_id AS text), '')"
    bucket = f"created_by_id || ':' || COALESCE(api_key_id, 0) || ':' || {batch} || ':' || origin"
    columns = "team_id, day, spender_id, api_key_id, batch_id, origin, bucket, calls, pixels"
    estimated = "SUM(estimated_microcredits)"
    sums = f"COUNT(*), SUM(width * height), {estimated}, {estimated}, {estimated}"
    return (
        f"INSERT INTO jobs_usageday ({columns}, estimated, held, booked, duplicates, saved, renditions) "  # noqa: S608
        f"SELECT {of}, {bucket}, {sums}, 0, 0, 0 "
        f"FROM jobs_job WHERE state = 'done' GROUP BY {of} ORDER BY 2"
    )


def snapshots(owners: Owners) -> str:
    at = owners.rows.at("100 * i")
    account, have = str(owners.account), f"{GRANTED} - 100 * {MICROCREDITS} * i"
    return owners.rows.insert(
        BalanceSnapshot,
        owners.jobs // 100,
        id="i",
        account_id=account,
        asked_at=at,
        came_at=at,
        microcredits=have,
    )


def periods(owners: Owners) -> str:
    return owners.rows.insert(
        BalancePeriod,
        owners.jobs // 100 - 1,
        account_id=str(owners.account),
        opening_id="i",
        closing_id="i + 1",
        calls="100",
        charged=f"100 * {MICROCREDITS}",
        booked=f"100 * {MICROCREDITS}",
        is_final="(1 = 1)",
        computed_at=owners.rows.at("100 * i + 100"),
    )


def purchases(owners: Owners) -> str:
    return owners.rows.insert(
        Purchase,
        24,
        account_id=str(owners.account),
        bought_at=owners.rows.at(f"i * {owners.jobs // 24}"),
        microcredits=f"1000 * {MICROCREDITS}",
        note="'Bought'",
        token=owners.rows.uuid(),
        entered_by_id=str(owners.person),
    )


def audit(owners: Owners) -> str:
    return owners.rows.insert(
        AuditEntry,
        owners.jobs // 100,
        at=owners.rows.at("100 * i"),
        actor_id=owners.spender,
        team_id=str(owners.team),
        action="CASE WHEN i % 2 = 0 THEN 'grant' ELSE 'resolve' END",
        subject="'attempt:' || i",
        reason="'As agreed'",
    )


def requests(owners: Owners) -> str:
    """Grant all requests but a hundred, one for a batch each."""
    rows, waits = owners.jobs // 1000, f"i > {owners.jobs // 1000 - 100}"
    return owners.rows.insert(
        CreditRequest,
        rows,
        team_id=str(owners.team),
        asked_by_id=owners.spender,
        microcredits=str(MICROCREDITS),
        batch=owners.rows.uuid(),
        created_at=owners.rows.at("1000 * i"),
        decided_at=f"CASE WHEN NOT ({waits}) THEN {owners.rows.at('1000 * i')} END",
        decided_by_id=f"CASE WHEN NOT ({waits}) THEN {owners.person} END",
        granted_microcredits=f"CASE WHEN NOT ({waits}) THEN {MICROCREDITS} END",
    )


def reports(owners: Owners) -> str:
    """Report each thousandth picture; the last hundred reports aren't answered yet."""
    rows, waits = owners.jobs // 1000, f"i > {owners.jobs // 1000 - 100}"
    return owners.rows.insert(
        BadResult,
        rows,
        job_id="1000 * i - 1",
        reported_by_id=owners.spender,
        reported_at=owners.rows.at("1000 * i"),
        note="'Hair is missing'",
        answered_at=f"CASE WHEN NOT ({waits}) THEN {owners.rows.at('1000 * i')} END",
        answered_by_id=f"CASE WHEN NOT ({waits}) THEN {owners.person} END",
        answer=f"CASE WHEN {waits} THEN '' ELSE 'refunded' END",
        reason=f"CASE WHEN {waits} THEN '' ELSE 'Right' END",
    )


def events(owners: Owners) -> str:
    return owners.rows.insert(
        Event,
        owners.jobs,
        f"i % 10 = 1 AND {MINE}",
        id=owners.rows.uuid(),
        team_id=str(owners.team),
        kind="'job.finished'",
        subject="'job:' || i",
        at=owners.rows.at(),
    )


def deliveries(owners: Owners) -> str:
    return owners.rows.insert(
        Delivery,
        owners.jobs,
        f"i % 10 = 1 AND {MINE}",
        webhook_id=str(owners.webhook),
        event_id=owners.rows.uuid(),
        state="CASE WHEN i % 1000 = 1 THEN 'failed' ELSE 'delivered' END",
        tries="1",
        due_at="NULL",
        sent_at=owners.rows.at(),
        status="CASE WHEN i % 1000 = 1 THEN 500 ELSE 200 END",
    )
