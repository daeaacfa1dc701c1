"""The table: what each route is, by its full name. A route without a row fails the build.

To add one: ``team`` for pages of a team (the least role, and what a good answer is), ``SIGNED_IN`` for pages
of a person, ``PUBLIC`` for all the world, ``staff``, and ``key`` for what programs ask with a key.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from accounts.models import Role
from tests.site.isolation.cast import MISSING, Arguments, Things

Method = Literal["get", "post"]
Make = Callable[[Things], Arguments]


@dataclass(frozen=True)
class Row:
    """kind: who may. least: the least role, of a team's page. method: how it is asked. good: what those who
    may get. of, missing: the arguments beside the team's slug, of what is there and what isn't, which is
    answered with ``nothing``; fixed: those that never change."""

    kind: Literal["public", "signed_in", "staff", "team", "key"]
    method: Method = "get"
    least: Role = Role.VIEWER
    good: tuple[int, ...] = (200,)
    of: Make | None = None
    missing: Arguments = field(default_factory=dict)
    fixed: Arguments = field(default_factory=dict)
    nothing: int = 404


BATCH = UUID("00000000-0000-4000-8000-000000000000")


def team(least: Role = Role.VIEWER, method: Method = "get", *good: int, **more: object) -> Row:
    return Row("team", method, least, good or (200,), **more)  # type: ignore[arg-type]


def job(least: Role = Role.VIEWER, method: Method = "get", *good: int, **fixed: object) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.job.pk}, missing={"pk": MISSING}, fixed=fixed)


def batch(least: Role = Role.VIEWER, method: Method = "get", *good: int) -> Row:
    return team(least, method, *good, of=lambda own: {"batch": own.batch.pk}, missing={"batch": BATCH})


def member(least: Role, method: Method = "get", *good: int) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.member.pk}, missing={"pk": MISSING})


def api_key(least: Role, method: Method = "get", *good: int) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.key.pk}, missing={"pk": MISSING})


def invitation(least: Role, method: Method = "get", *good: int) -> Row:
    return team(
        least, method, *good, of=lambda own: {"pk": own.invitation.pk}, missing={"pk": MISSING}, nothing=302
    )


SIGNED_IN = Row("signed_in", good=(200, 302, 403, 404, 405))
PUBLIC = Row("public", good=(200, 302, 404, 405))
OK_TO_POST = (200, 302, 400, 402)

API_JOB = Row("key", of=lambda own: {"job_id": own.job.pk}, missing={"job_id": MISSING})

ROWS: dict[str, Row] = {
    # The site
    "healthz": PUBLIC,
    "set_language": PUBLIC,
    "home": SIGNED_IN,
    "login_link": Row("public", good=(302,), fixed={"number": "1", "token": "x-y"}),
    "health": Row("staff"),
    "admin:login": PUBLIC,
    "admin:logout": PUBLIC,
    # Pictures
    "workspace": team(),
    "upload": team(Role.MEMBER, "post", *OK_TO_POST),
    "batch": team(fixed={"batch": BATCH}),
    "open_batch": team(Role.MEMBER, "post", 400),
    "batch_files": batch(Role.MEMBER, "post", 400),
    "batch_missing": batch(),
    "batch_plan": batch(),
    "batch_reuse": batch(Role.MEMBER, "post", 400),
    "batch_urls": batch(Role.MEMBER, "post", 400),
    "upload_chunk": team(
        Role.MEMBER,
        of=lambda own: {"batch": own.batch.pk, "request_id": own.file.request_id},
        missing={"batch": BATCH, "request_id": BATCH},
    ),
    "batch_upload": batch(Role.MEMBER, "post", 409),
    "test_picture": team(Role.MEMBER, "post", 400),
    "tested_picture": team(of=lambda own: {"pk": own.test.pk}, missing={"pk": MISSING}),
    "history": team(),
    "job": job(),
    "again": job(Role.MEMBER, "post", 302),
    "download": job(),
    "shown": job(side="after", size="tile"),
    # Programs: a session opens nothing
    "api_remove_background": Row("key", "post", good=(200,)),
    "api_remove_background_v1": Row("key", "post", good=(200,)),
    "api_account": Row("key"),
    "drop_in_remove_background": Row("key", "post", good=(200,)),
    "drop_in_account": Row("key"),
    "api_jobs": Row("key"),
    "api_job": API_JOB,
    "api_result": API_JOB,
    "api_source": API_JOB,
    "api_balance": Row("key"),
    "api_ledger": Row("key"),
    "api_usage": Row("key"),
    "api_nothing": Row("public", good=(404,)),
    "drop_in_nothing": Row("public", good=(404,)),
    "rest_nothing": Row("public", good=(404,)),
    "openapi_json": PUBLIC,
    "api_docs": PUBLIC,
    # People and teams
    "open_team": SIGNED_IN,
    "join": Row("public", good=(404,), fixed={"token": "nobody-has-it"}),
    "team": team(),
    "rename_team": team(Role.OWNER, "post", *OK_TO_POST),
    "leave_team": team(Role.VIEWER, "get", 200, 302),
    "invite": team(Role.MANAGER, "post", *OK_TO_POST),
    "revoke_invitation": invitation(Role.MANAGER, "post", 302),
    "change_role": member(Role.OWNER, "post", *OK_TO_POST),
    "remove_member": member(Role.OWNER, "get"),
    "transfer_ownership": member(Role.OWNER, "get"),
    "keys": team(Role.MEMBER),
    "revoke_key": api_key(Role.MEMBER, "post", 302),
    "key_allowance": api_key(Role.MANAGER),
    "lift_key_allowance": api_key(Role.MANAGER, "post", 302),
    "quick_start": team(),
    "allowance": member(Role.MANAGER, "get"),
    "lift_allowance": member(Role.MANAGER, "post", 302),
}

PREFIXES: dict[str, Row] = {
    "admin:": Row("staff"),
    "account_": PUBLIC,  # allauth's: each is about whoever asks, and names no team
    "mfa_": PUBLIC,
}


def row_of(name: str) -> Row | None:
    """Return the row of a route, by its full name."""
    prefix = next((row for start, row in PREFIXES.items() if name.startswith(start)), None)
    return ROWS.get(name, prefix)
