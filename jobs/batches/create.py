"""Begin a batch, and name it."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.models import Team, User
from jobs.models import Batch

MAX_NAME = 120


class NotOursError(Exception):
    """A batch of another team has this id."""


def open_batch(team: Team, user: User, batch_id: UUID, name: str = "") -> Batch:
    """Return the team's batch with this id, and begin it if there is none; raise NotOursError.

    Without a name, the present time is its name.
    """
    if batch := Batch.objects.filter(pk=batch_id).first():
        return _checked(batch, team)
    name = _clean(name) or date_format(localtime(), "j N Y, H:i")
    try:
        with transaction.atomic():
            return Batch.objects.create(pk=batch_id, team=team, created_by=user, name=name)
    except IntegrityError:  # the same request came twice at once
        return _checked(Batch.objects.get(pk=batch_id), team)


def rename(batch: Batch, name: str) -> None:
    """Give the batch another name; without one it keeps its own."""
    batch.name = _clean(name) or batch.name
    batch.save(update_fields=["name", "updated_at"])


def _clean(name: str) -> str:
    return " ".join(name.split())[:MAX_NAME].strip()


def _checked(batch: Batch, team: Team) -> Batch:
    if batch.team_id != team.pk:
        raise NotOursError(str(batch.pk))
    return batch
