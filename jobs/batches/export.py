"""Choose what a download of a batch has in it: which pictures, in which outputs, under which names.

The list is fixed when a download begins, however many more pictures are cut out meanwhile. Names are given to
all of the batch's pictures first, and pictures are chosen then, so that a file is called the same in every
download.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils import timezone, translation

from jobs.audit.reconcile import books
from jobs.batches import naming
from jobs.batches.manifest import Line
from jobs.batches.naming import Named, Naming
from jobs.models import Batch, BatchFile, Job, Rendition
from jobs.renditions import render
from jobs.renditions.style import PLAIN, Style, StyleError

MANIFEST = "manifest.csv"
ALL, APPROVED = "all", "approved"
FAILED_FOR = timedelta(minutes=10)
"""So long, a rendition that couldn't be made is left out without another try."""


@dataclass(frozen=True)
class Selection:
    """The pictures of a batch that a download is to have. jobs: their keys; none for all."""

    only: str = ALL
    jobs: Collection[int] = ()

    def __contains__(self, job: Job) -> bool:
        if self.only == APPROVED and job.proof != Job.Proof.APPROVED:
            return False
        return not self.jobs or job.pk in self.jobs


@dataclass(frozen=True)
class Output:
    """One of the files that each picture of a batch becomes. problem: the reason why none can be made."""

    name: str
    style: Style = PLAIN
    problem: str = ""


@dataclass(frozen=True)
class Entry:
    """A picture in one of its outputs. rendition: its file, once it is made. problem: why there is none."""

    job: Job
    output: Output
    name: str
    is_first: bool
    rendition: Rendition | None = None
    problem: str = ""

    @property
    def is_wanted(self) -> bool:
        """True if the download has a file for it, or should."""
        return self.job.state == Job.State.DONE and self.job.has_result and not self.problem

    def line(self, row: Rendition | None) -> Line:
        """Return its line in the manifest, without what isn't known yet."""
        if not self.is_wanted:
            return self.line_without(self.problem)
        line = replace(self._line(), file=self.name)
        if row is None:
            return line
        return replace(line, width=row.width, height=row.height, bytes=row.bytes, sha256=row.sha256)

    def line_without(self, problem: str) -> Line:
        """Return the manifest's line of a picture that has no file."""
        return replace(self._line(), problem=translation.gettext(problem) if problem else _reason(self.job))

    def _line(self) -> Line:
        # The credits of a picture stand beside its first file.
        money, job = books(self.job), self.job
        cost = money.booked if self.is_first else 0
        return Line("", job.name, job.folder, job.state, credits_=cost, verdict=money.verdict.value)


def outputs(batch: Batch) -> list[Output]:
    """Return what each picture of the batch becomes: its plain cut-out, unless a style was applied."""
    return [_output(stored) for stored in batch.outputs] or [Output("")]


def entries(batch: Batch, selection: Selection) -> list[Entry]:
    """Return the chosen pictures in all outputs, in the order of the drop."""
    jobs = list(_jobs(batch))
    wanted = outputs(batch)
    files = files_to_name(jobs, wanted)
    names = iter(naming.names(files, Naming.load(batch.file_names), [MANIFEST]))
    made = [_renditions(jobs, selection, output.style) for output in wanted]
    return [
        _entry(job, output, next(names), renditions.get(job.pk), is_first=output is wanted[0])
        for job in jobs
        for output, renditions in zip(wanted, made, strict=True)
    ]


def chosen(batch: Batch, selection: Selection) -> list[Entry]:
    return [entry for entry in entries(batch, selection) if entry.job in selection]


def files_to_name(jobs: Sequence[Job], wanted: Sequence[Output]) -> list[Named]:
    """Return all files of the pictures: those of the first one, then those of the second, and so on."""
    return [
        Named(job.name, job.folder, job.number or place, output.name, output.style.format.extension)
        for place, job in enumerate(jobs, 1)
        for output in wanted
    ]


def files_without_job(batch: Batch, selection: Selection) -> Iterator[Line]:
    """Yield the lines of files that were never uploaded or were refused, in a download of everything."""
    if selection.only == ALL and not selection.jobs:
        for file in BatchFile.objects.missing().filter(batch=batch).order_by("number"):
            yield Line("", file.name, file.folder, "missing", credits_=0)
        for file in BatchFile.objects.refused().filter(batch=batch).order_by("number"):
            problem = file.message or str(file.get_problem_display())
            yield Line("", file.name, file.folder, "refused", problem, credits_=0)


def _jobs(batch: Batch) -> Iterator[Job]:
    jobs = Job.objects.with_books().select_related("reused_from")
    return iter(jobs.filter(batch=batch).order_by("number", "pk"))


def _output(stored: Mapping[str, Any]) -> Output:
    name = str(stored.get("name", ""))
    try:
        return Output(name, Style.parse(stored.get("style", {})))
    except StyleError as error:
        return Output(name, problem=error.message)


def _renditions(jobs: Sequence[Job], selection: Selection, style: Style) -> dict[int, Rendition]:
    """Return what is made in this style, and what couldn't be made a short while ago."""
    keys = [job.pk for job in jobs if job in selection and job.state == Job.State.DONE and job.has_result]
    failed = Rendition.objects.filter(
        job__in=keys,
        style_sha256=style.sha256,
        state=Rendition.State.FAILED,
        updated_at__gt=timezone.now() - FAILED_FOR,
    )
    return {row.job_id: row for row in failed} | render.cached(keys, style)


def _entry(job: Job, output: Output, name: str, row: Rendition | None, *, is_first: bool) -> Entry:
    has_failed = row is not None and row.state == Rendition.State.FAILED
    problem = output.problem or (row.problem if row and has_failed else "")
    return Entry(job, output, name, is_first, None if has_failed else row, problem)


def _reason(job: Job) -> str:
    if job.erased_at:
        return translation.gettext(render.ERASED)
    return str(job.get_reason_display()) if job.reason and job.state != Job.State.DONE else ""
