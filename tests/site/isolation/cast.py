"""People and keys of several teams, and the things that they ask for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.ledger.money import MICROCREDITS
from accounts.models import ApiKey, CreditRequest, Invitation, Membership, Role, Team, User
from conftest import World, small_png, upload
from jobs.batches.create import open_batch
from jobs.events import outbox, subscriptions
from jobs.intake.submit import submit
from jobs.models import Attempt, Backdrop, Batch, BatchFile, Delivery, Job, Preset, Recipe
from pixian.protocol.credentials import Credentials

ROLES = {"viewer": Role.VIEWER, "member": Role.MEMBER, "manager": Role.MANAGER, "owner": Role.OWNER}
READERS = ("anonymous", "outsider", *ROLES, "staff")
MISSING = 10**9


@dataclass(frozen=True)
class Things:
    """The things of one team: a finished job and a test, a batch with a file to come, a second member, a key,
    a request for credits, styles, a webhook with a delivery.
    """

    team: Team
    job: Job
    test: Job
    batch: Batch
    file: BatchFile
    member: Membership
    key: ApiKey
    credentials: Credentials
    invitation: Invitation
    asked: CreditRequest
    preset: Preset
    recipe: Recipe
    backdrop: Backdrop
    delivery: Delivery


@dataclass(frozen=True)
class Cast:
    people: dict[str, User | None]
    own: Things
    foreign: Things


def gathered(world: World) -> Cast:
    manager = User.objects.create_user("mia@example.org")
    Membership.objects.create(team=world.team, user=manager, role=Role.MANAGER)
    staff = User.objects.create_superuser("root@example.org")
    people: dict[str, User | None] = {
        "anonymous": None,
        "outsider": world.charlie,
        "viewer": world.vera,
        "member": world.bob,
        "manager": manager,
        "owner": world.alice,
        "staff": staff,
    }
    return Cast(people, things_of(world.team, world.bob), things_of(_others(world), world.charlie))


def _others(world: World) -> Team:
    team: Team = world.charlie.memberships.get().team
    return team


def things_of(team: Team, user: User) -> Things:
    key, credentials = keys.create(team, user, "shop")
    invitation = Invitation.objects.create(
        team=team,
        email=f"guest-of-{team.slug}@example.org",
        token_sha256=team.slug,
        invited_by=user,
        expires_at=timezone.now() + timedelta(days=1),
    )
    membership = Membership.objects.get(team=team, user=user)
    batch = open_batch(team, user, uuid4())
    file = batch.files.create(number=1, name="photo.png")
    asked = CreditRequest.objects.create(team=team, asked_by=user, microcredits=MICROCREDITS)
    job, test = _job(team, user), _job(team, user, test=True)
    # After the jobs: in a database of many, the month's pictures may have cost more already.
    allowances.grant(membership, limit=50 * MICROCREDITS, period="month")
    return Things(
        team,
        job,
        test,
        batch,
        file,
        membership,
        key,
        credentials,
        invitation,
        asked,
        *_styles(team, user),
        _delivery(team, user),
    )


def _styles(team: Team, user: User) -> tuple[Preset, Recipe, Backdrop]:
    preset = Preset.objects.create(team=team, name="White", style={"format": "jpeg"}, created_by=user)
    recipe = Recipe.objects.create(team=team, name="Shops", created_by=user)
    recipe.presets.add(preset)
    name = default_storage.save(f"{team.slug}/backdrops/wall.png", ContentFile(small_png(20, 20)))
    columns = {"file": name, "sha256": "0" * 64, "width": 20, "height": 20, "added_by": user}
    return preset, recipe, Backdrop.objects.create(team=team, name="wall", **columns)


def _delivery(team: Team, user: User) -> Delivery:
    webhook, _secret = subscriptions.add(team, user, "https://example.org/hook", ["job.finished"])
    outbox.ping(webhook)
    delivery: Delivery = webhook.deliveries.get()
    return delivery


def _job(team: Team, user: User, *, test: bool = False) -> Job:
    """Make a finished job with a stored result, without processing it; its cost doesn't matter here."""
    sent = upload(small_png(20, 20), batch=open_batch(team, user, uuid4()).pk)
    with sent.file:
        job = submit(team, user, sent)
    name = default_storage.save(f"{job.source.name}.result.png", ContentFile(small_png(20, 20)))
    Job.objects.filter(pk=job.pk).update(
        test=test, state=Job.State.DONE, result=name, result_sha256="0" * 64, result_bytes=9
    )
    Attempt.objects.filter(job=job).update(state=Attempt.State.IN_DOUBT)
    job.refresh_from_db()
    return job


Arguments = dict[str, Any]
