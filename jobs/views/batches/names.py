"""Show how a batch's downloads are named, for the menu of its page."""

from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Max, QuerySet

from jobs.batches import export, name_list, naming
from jobs.batches.naming import Naming, NamingError
from jobs.models import Batch, BatchFile, Job

SHOWN = 5


@dataclass(frozen=True)
class Names:
    """The contents of ``jobs/_names.html``. known: rows of the list that name a picture; unknown: others."""

    naming: Naming
    pattern: str
    examples: list[str] = field(default_factory=list)
    known: int = 0
    unknown: int = 0
    problem: str = ""

    @property
    def listed(self) -> int:
        return len(self.naming.new_names)


class NamesForm(forms.Form):
    """The pattern, and which list goes with it: a new one, the one that is stored, or none."""

    pattern = forms.CharField(required=False, max_length=2 * naming.MAX_PATTERN)
    without_list = forms.BooleanField(required=False)

    def apply(self, batch: Batch, file: "UploadedFile[Any] | None") -> Names:
        """Return what the form makes of the batch's names, or the problem with it; nothing is stored."""
        stored, written = Naming.load(batch.file_names), str(self.data.get("pattern", ""))
        try:
            pattern = naming.checked_pattern(written)
            new_names = {} if self.data.get("without_list") else dict(stored.new_names)
            if file:
                new_names = name_list.read(file.read(name_list.MAX_BYTES + 1))
                pattern = _with_sku(pattern or naming.default_pattern(len(export.outputs(batch))))
        except NamingError as error:
            return Names(stored, written, problem=error.message)
        is_default = pattern == naming.default_pattern(len(export.outputs(batch)))
        return describe(batch, Naming("" if is_default else pattern, new_names))


def of_batch(batch: Batch) -> Names:
    """Return how the batch's downloads are named now."""
    return describe(batch, Naming.load(batch.file_names))


def describe(batch: Batch, named: Naming) -> Names:
    outputs, known = export.outputs(batch), _known(batch, named)
    highest = _jobs(batch).aggregate(highest=Max("number"))["highest"] or 0
    files = export.files_to_name(list(_jobs(batch)[:SHOWN]), outputs)
    examples = naming.names(files, named, highest=highest)[:SHOWN]
    pattern = named.pattern or naming.default_pattern(len(outputs))
    return Names(named, pattern, examples, known, len(named.new_names) - known)


def _with_sku(pattern: str) -> str:
    """Return the pattern with the list's names in it: who uploads a list wants to see it."""
    return pattern if "{sku}" in pattern else pattern.replace("{name}", "{sku}")


def _jobs(batch: Batch) -> "QuerySet[Job]":
    return Job.objects.filter(batch=batch).order_by("number", "pk")


def _known(batch: Batch, named: Naming) -> int:
    """Return how many of the list's rows name a picture of the batch, uploaded or not."""
    if not named.new_names:
        return 0
    files = BatchFile.objects.filter(batch=batch).order_by().values_list("name", "folder")
    pictures = {*_jobs(batch).values_list("name", "folder"), *files}
    return len({named.key_of(name, folder) for name, folder in pictures} - {None})
