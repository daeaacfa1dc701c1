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
    answered with ``nothing``; fixed: those that never change. staff: what those staff may get who
    are in no team."""

    kind: Literal["public", "signed_in", "staff", "team", "key"]
    method: Method = "get"
    least: int = Role.VIEWER
    good: tuple[int, ...] = (200,)
    of: Make | None = None
    missing: Arguments = field(default_factory=dict)
    fixed: Arguments = field(default_factory=dict)
    nothing: int = 404
    staff: tuple[int, ...] = (404,)


NOBODY = Role.OWNER + 1
"""No role is enough."""

BATCH = UUID("00000000-0000-4000-8000-000000000000")


def team(least: int = Role.VIEWER, method: Method = "get", *good: int, **more: object) -> Row:
    return Row("team", method, least, good or (200,), **more)  # type: ignore[arg-type]


def job(least: Role = Role.VIEWER, method: Method = "get", *good: int, **fixed: object) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.job.pk}, missing={"pk": MISSING}, fixed=fixed)


def batch(least: Role = Role.VIEWER, method: Method = "get", *good: int, **fixed: object) -> Row:
    of = lambda own: {"batch": own.batch.pk}  # noqa: E731
    return team(least, method, *good, of=of, missing={"batch": BATCH}, fixed=fixed)


def style(kind: str, least: Role = Role.VIEWER, method: Method = "get", *good: int) -> Row:
    """Return the row of a preset, a recipe or a backdrop."""
    return team(least, method, *good, of=lambda own: {"pk": getattr(own, kind).pk}, missing={"pk": MISSING})


def member(least: Role, method: Method = "get", *good: int) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.member.pk}, missing={"pk": MISSING})


def api_key(least: Role, method: Method = "get", *good: int) -> Row:
    return team(least, method, *good, of=lambda own: {"pk": own.key.pk}, missing={"pk": MISSING})


def webhook(method: Method = "get", *good: int) -> Row:
    of = lambda own: {"pk": own.delivery.webhook_id}  # noqa: E731
    return team(Role.MANAGER, method, *good, of=of, missing={"pk": MISSING})


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
    "readyz": Row("public", good=(200, 503)),
    "metrics": Row("public", good=(404,)),  # off, unless there is a token
    "set_language": PUBLIC,
    "set_theme": PUBLIC,
    "home": SIGNED_IN,
    "login_link": Row("public", good=(302,), fixed={"number": "1", "token": "x-y"}),
    "oidc_login": PUBLIC,
    "oidc_callback": PUBLIC,
    "oidc_disconnect": Row("signed_in", "post", good=(302, 404)),
    "health": Row("staff"),
    "upstream_health": Row("staff"),
    "staff": Row("staff"),
    "upstream": Row("staff"),
    "staff_teams": Row("staff"),
    "staff_quota": Row("staff"),
    "staff_people": Row("staff"),
    "staff_delete_person": Row("staff"),
    "staff_settings": Row("staff"),
    "reconciliation": Row("staff"),
    "reconciliation_csv": Row("staff"),
    "take_balance": Row("staff", "post"),
    "stop_calls": Row("staff", "post"),
    "start_calls": Row("staff", "post"),
    "purchases": Row("staff"),
    "balance_period": Row("staff"),
    "book_balance": Row("staff", "post"),
    "balance_period_csv": Row("staff"),
    "admin:login": PUBLIC,
    "admin:logout": PUBLIC,
    # Pictures
    "workspace": team(),
    "upload": team(Role.MEMBER, "post", *OK_TO_POST),
    "batch": batch(),
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
    "batch_zip": batch(),
    "batch_manifest": batch(),
    "batch_names": batch(Role.MEMBER, "post", 302),
    "test_picture": team(Role.MEMBER, "post", 400),
    "tested_picture": team(of=lambda own: {"pk": own.test.pk}, missing={"pk": MISSING}),
    "batch_changes": batch(),
    "batch_control": batch(Role.MEMBER, "post", 400),
    "batch_rename": batch(Role.MEMBER, "post", 302),
    "batch_proof": batch(Role.MEMBER, "post", 302),
    "history": team(),
    "history_counts": team(),
    "history_csv": team(),
    "job": job(),
    "again": job(Role.MEMBER, "post", 302),
    "report_result": job(Role.MEMBER, "post", 302),
    "delete_job": job(Role.MEMBER),
    "delete_batch": batch(Role.MEMBER),
    "retention": team(),
    "export_team": team(Role.OWNER),
    "delete_team": team(Role.OWNER, staff=(200,)),
    # Review: staff see every team's
    "review": team(Role.MANAGER, staff=(200,)),
    "decide_case": team(
        Role.MANAGER,
        "post",
        404,  # of a case that is there, an action that isn't
        of=lambda own: {"case": f"attempt-{own.job.last_attempt.pk}"},
        missing={"case": f"attempt-{MISSING}"},
        staff=(404,),
    ),
    "decide_cases": team(Role.MANAGER, "post", 302, staff=(302,)),
    "correct_credits": team(NOBODY, "post", staff=(400,)),
    "audit_log": team(Role.MANAGER, staff=(200,)),
    "audit_csv": team(Role.MANAGER, staff=(200,)),
    "all_reviews": Row("staff"),
    "decide_all_cases": Row("staff", "post"),
    "download": job(),
    "shown": job(side="after", size="tile"),
    # Styles
    "styled": job(Role.VIEWER, "get", 200, 400),
    "styled_download": job(Role.VIEWER, "get", 200, 400),
    "batch_outputs": batch(Role.MEMBER, "post", 302),
    "presets": team(),
    "new_preset": team(Role.MEMBER),
    "preset": style("preset", Role.MEMBER),
    "delete_preset": style("preset", Role.MEMBER, "post", 302, 404),  # the first one deletes it
    "copy_example": team(Role.MEMBER, "post", 302, fixed={"key": "amazon"}),
    "new_recipe": team(Role.MEMBER),
    "recipe": style("recipe", Role.MEMBER),
    "delete_recipe": style("recipe", Role.MEMBER, "post", 302, 404),
    "add_backdrop": team(Role.MEMBER, "post", 302),
    "backdrop": style("backdrop"),
    "delete_backdrop": style("backdrop", Role.MEMBER, "post", 302, 404),
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
    "delete_account": SIGNED_IN,
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
    # Events
    "hide_alert": Row("signed_in", "post", good=(302, 404), fixed={"pk": MISSING}),
    "webhooks": team(Role.MANAGER),
    "webhook": webhook(),
    "rotate_webhook": webhook("post"),
    "ping_webhook": webhook("post", 302),
    "switch_webhook": webhook("post", 302),
    "replay_delivery": team(
        Role.MANAGER,
        "post",
        302,
        of=lambda own: {"pk": own.delivery.webhook_id, "delivery": own.delivery.pk},
        missing={"pk": MISSING, "delivery": MISSING},
    ),
    "delete_webhook": webhook("post", 302, 404),  # the first one deletes it
    # Credits: staff see every team's
    "credits": team(staff=(200,)),
    "statement": team(staff=(200,)),
    "statement_csv": team(staff=(200,)),
    "statement_json": team(staff=(200,)),
    "usage": team(staff=(200,)),
    "usage_csv": team(staff=(200,)),
    "grant_credits": team(NOBODY, "post", staff=(302, 400)),
    "ask_for_credits": team(Role.MEMBER, "post", 302, 400),
    "decide_request": team(
        Role.MANAGER,
        "post",
        400,
        of=lambda own: {"pk": own.asked.pk},
        missing={"pk": MISSING},
        staff=(302, 400),
    ),
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
