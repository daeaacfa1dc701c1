"""Find the pictures that wait for credits: those that go first, and those that no waiting helps."""

from django.db.models import Exists, OuterRef, QuerySet

from accounts.ledger import allowances
from accounts.teams import permissions
from jobs.models import Batch, Job
from jobs.models.job import PAYER


def ahead(team_id: int, user_id: int) -> QuerySet[Job]:
    """Select the kept jobs that go before a person's new ones, and that the person pays for.

    One that costs more than a whole allowance doesn't hold up the others, which it would do for ever.
    """
    jobs = Job.objects.kept_by(team_id, user_id)
    most = allowances.most_at_once(team_id, user_id)
    return jobs if most is None else jobs.filter(estimated_microcredits__lte=most)


def beyond_allowance(batch: Batch) -> int:
    """Return how many kept jobs of the batch cost more than a whole allowance of whoever pays for them."""
    payers = batch.jobs.kept().order_by().values_list(PAYER, flat=True).distinct()
    return sum(_beyond(batch, payer) for payer in payers)


def _beyond(batch: Batch, payer: int) -> int:
    most = allowances.most_at_once(batch.team_id, payer)
    jobs = Job.objects.kept_by(batch.team_id, payer).filter(batch=batch)
    return 0 if most is None else jobs.filter(estimated_microcredits__gt=most).count()


def without_payer(batch: Batch) -> QuerySet[Job]:
    """Select the kept jobs of the batch whose payer has left the team, or may only look by now."""
    spends = permissions.spenders(batch.team_id).filter(user=OuterRef("payer_key"))
    return batch.jobs.kept().with_payer().filter(~Exists(spends))
