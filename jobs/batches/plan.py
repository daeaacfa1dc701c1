"""Say what a batch will cost, and how much of it can begin now, before anything is uploaded or held."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Sum

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import rounded_up
from accounts.models import Team, User
from jobs.batches import register, reuse
from jobs.calls import attempts, kept_jobs, pricing
from jobs.models import Batch
from pixian.protocol.limits import MAX_PROCESSED_PIXELS


@dataclass(frozen=True)
class Means:
    """The credits that a person can spend, in micro-credits.

    pool: what the team has available. allowance: what the person's own bounds leave; None without any.
    owed: by the team, which begins nothing until it is covered. waiting: what the person's kept pictures
    need, which go first.
    """

    pool: int
    allowance: int | None = None
    owed: int = 0
    waiting: int = 0

    @property
    def free(self) -> int:
        """Return what new pictures may cost now."""
        if self.owed:
            return 0
        left = self.pool if self.allowance is None else min(self.pool, self.allowance)
        return max(0, left - self.waiting)


@dataclass(frozen=True)
class Figures:
    """The arithmetic of a plan, in micro-credits. fits: how many of the pictures, in order, can begin now."""

    at_most: int
    fits: int
    missing: int
    after: int


@dataclass(frozen=True)
class Duplicate:
    """A picture that was cut out before."""

    request_id: UUID
    name: str


@dataclass(frozen=True)
class Plan:
    """The cost of a batch's missing files, and how many of them can begin.

    pixels: of the files whose size is known. unknown: how many others there are; each counts as the largest
    picture in the ceilings, and as an average one in ``about``, which is None if nothing is known to go by.
    """

    pictures: int
    pixels: int
    unknown: int
    about: int | None
    means: Means
    figures: Figures
    duplicates: list[Duplicate] = field(default_factory=list)


def figures(ceilings: Sequence[int], means: Means) -> Figures:
    """Return what pictures with these holds cost, and how many of them can begin. Pure."""
    free, fits, held = means.free, 0, 0
    for ceiling in ceilings:
        if held + ceiling > free:
            break  # a smaller one behind it doesn't overtake it
        fits, held = fits + 1, held + ceiling
    at_most = sum(ceilings)
    lacking = max(0, at_most + means.owed - free)
    return Figures(at_most, fits, rounded_up(lacking), max(0, means.pool - held))


def likely(sizes: Iterable[int | None], rate: int | None, at_most: int) -> int | None:
    """Return what pictures of these numbers of pixels cost at a usual rate; None if that can't be said. Pure.

    A size that isn't known counts as the average of those that are.
    """
    known, unknown = [], 0
    for size in sizes:
        if size is None:
            unknown += 1
        else:
            known.append(size)
    if rate is None or not known:
        return None
    total = sum(pricing.ceiling(pixels, rate) for pixels in known)
    return min(at_most, total + total * unknown // len(known))


def plan(batch: Batch, user: User, *, reusing: bool = False) -> Plan:
    """Return the plan for the files of a batch that a person has yet to upload.

    reusing: leave out those that were cut out before, because the person takes them from the store.
    """
    files = list(register.missing(batch).values_list("request_id", "name", "sha256", "width", "height"))
    known = reuse.earlier(batch.team, {sha256 for _, _, sha256, *_ in files if sha256})
    duplicates = [Duplicate(request_id, name) for request_id, name, sha256, *_ in files if sha256 in known]
    if reusing:
        files = [file for file in files if file[2] not in known]
    sizes = [width * height if width and height else None for *_, width, height in files]
    ceilings = attempts.estimates(size or MAX_PROCESSED_PIXELS for size in sizes)
    means = means_of(batch.team, user)
    worked_out = figures(ceilings, means)
    return Plan(
        pictures=len(files),
        pixels=sum(size or 0 for size in sizes),
        unknown=sizes.count(None),
        about=likely(sizes, attempts.usual_rate(), worked_out.at_most),
        means=means,
        figures=worked_out,
        duplicates=duplicates,
    )


def means_of(team: Team, user: User) -> Means:
    """Return what a person can spend in a team now."""
    balances, waiting = ledger.balances(team), kept_jobs.ahead(team.pk, user.pk)
    tightest = next(iter(allowances.spender_standings(team, user)), None)
    return Means(
        pool=balances.available,
        allowance=tightest.left if tightest else None,
        owed=balances.owed,
        waiting=waiting.aggregate(sum=Sum("estimated_microcredits"))["sum"] or 0,
    )
