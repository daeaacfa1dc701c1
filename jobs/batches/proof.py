"""Record what a person decided on cut-outs."""

from collections.abc import Sequence

from django.utils import timezone

from accounts.models import User
from jobs.models import Batch, Job


def decide(batch: Batch, only: Sequence[int], proof: str, user: User) -> int:
    """Approve or reject the batch's cut-outs with these keys, or take that back; return how many.

    Those that aren't done are left out: there is nothing to decide on yet.
    """
    done = batch.jobs.filter(pk__in=only, state=Job.State.DONE, erased_at=None)
    now = timezone.now()
    who, when = (user, now) if proof else (None, None)
    return done.update(proof=proof, proofed_by=who, proofed_at=when, updated_at=now)
