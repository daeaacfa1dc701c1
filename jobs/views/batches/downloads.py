"""Let a batch's results leave the house: the ZIP, its manifest, and how its files are named."""

from collections.abc import Iterator
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.batches import manifest, naming
from jobs.batches.download import Download, SizedDownload
from jobs.batches.export import ALL, APPROVED, Selection
from jobs.models import Batch
from jobs.views import byte_range, exports, scripts
from jobs.views.batches import names
from jobs.views.byte_range import UnsatisfiableError
from jobs.views.download_slots import SLOTS, BusyError
from pixian.protocol import file_names

ZIP = "application/zip"
REVALIDATE = "private, no-cache"
PARTIAL_CONTENT, UNSATISFIABLE, BAD_REQUEST, UNAVAILABLE = 206, 416, 400, 503
MAX_KEY_DIGITS = 18


class SelectionForm(forms.Form):
    only = forms.ChoiceField(choices=[(ALL, ALL), (APPROVED, APPROVED)], required=False)
    job = forms.RegexField(rf"^[0-9]{{1,{MAX_KEY_DIGITS}}}(,[0-9]{{1,{MAX_KEY_DIGITS}}})*$", required=False)

    def selection(self) -> Selection:
        keys = self.cleaned_data["job"]
        return Selection(
            self.cleaned_data["only"] or ALL, frozenset(map(int, keys.split(","))) if keys else ()
        )


@require_safe
def batch_zip(request: HttpRequest, team: str, batch: UUID) -> HttpResponseBase:
    """Send the chosen pictures as a ZIP: with a size, or made on the way."""
    member = enter(request, team)
    found = scripts.batch_of(member, batch)
    # Many keys come as one value with commas: Django limits the number of values.
    form = SelectionForm({"only": request.GET.get("only"), "job": ",".join(request.GET.getlist("job"))})
    if not form.is_valid():
        return HttpResponseBadRequest()
    download = Download.of(found, form.selection())
    try:
        sized = download.sized()
        response = _sized(request, team, sized) if sized else _unsized(request, team, download)
    except BusyError as error:
        text = _("Your team is downloading a lot right now. Wait until a download has ended, then try again.")
        headers = {"Retry-After": error.retry_after}
        return scripts.text(text, UNAVAILABLE, headers)
    response["Cache-Control"] = REVALIDATE
    response["Content-Disposition"] = _attachment(found, "zip")
    return response


@require_safe
def batch_manifest(request: HttpRequest, team: str, batch: UUID) -> HttpResponseBase:
    """Send the list of all of a batch's pictures as CSV."""
    member = enter(request, team)
    found = scripts.batch_of(member, batch)
    lines = Download.of(found, Selection()).lines()
    headers = {"Content-Disposition": _attachment(found, "csv"), "Cache-Control": REVALIDATE}
    return exports.Export(manifest.chunks(lines), content_type=exports.CSV, headers=headers)


@require_POST
def batch_names(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Name a batch's downloads by a pattern and a list, and show the first names."""
    member = enter(request, team, Role.MEMBER)
    found = scripts.batch_of(member, batch)
    file = request.FILES.get("list")
    named = names.NamesForm(request.POST).apply(found, file if isinstance(file, UploadedFile) else None)
    is_script = bool(request.headers.get("HX-Request"))
    if not named.problem:
        found.file_names = named.naming.dump()
        found.save(update_fields=["file_names", "updated_at"])
        if not is_script:
            messages.success(request, _("The files of this batch are named like this now."))
            return redirect(found)
    context = {"team": member.team, "batch": found, "names": named}
    template, status = ("jobs/_names.html" if is_script else "jobs/names.html"), BAD_REQUEST
    return render(request, template, context, status=status if named.problem else 200)


def _sized(request: HttpRequest, team: str, sized: SizedDownload) -> HttpResponseBase:
    size, etag = sized.size, sized.etag
    response = get_conditional_response(request, etag)
    if response is not None:
        response["ETag"] = etag
        return response
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    try:
        part = byte_range.wanted(request, size, etag)
    except UnsatisfiableError:
        return HttpResponse(status=UNSATISFIABLE, headers=headers | {"Content-Range": f"bytes */{size}"})
    first, stop = part or (0, size)
    if part:
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - first)
    status = PARTIAL_CONTENT if part else 200
    return _streamed(request, team, sized.stream(first, stop), headers, status)


def _unsized(request: HttpRequest, team: str, download: Download) -> HttpResponseBase:
    return _streamed(request, team, download.stream(), {"Accept-Ranges": "none"}, 200)


def _streamed(
    request: HttpRequest, team: str, content: Iterator[bytes], headers: dict[str, str], status: int
) -> HttpResponseBase:
    # The server reads the body of a response to HEAD too, and drops it: that would make every picture.
    body = () if request.method == "HEAD" else SLOTS.hold(team, content)
    return exports.Export(body, status=status, headers=headers, content_type=ZIP)


def _attachment(batch: Batch, ending: str) -> str:
    name = naming.safe(batch.name, naming.MAX_FOLDER_BYTES) or _("batch")
    return file_names.attachment(f"{name}.{ending}")
