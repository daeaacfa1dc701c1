"""Give a browser a stored file to keep, after the view has checked the team."""

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from pixian.protocol import file_names


def attachment(file: FieldFile, name: str, content_type: str) -> HttpResponseBase:
    """Return a stored file as a download under this name; raise FileNotFoundError if it is missing.

    From a bucket, a browser that saves a file gets a short link, so that a large file costs the site nothing
    and can be continued. All else is sent by the site itself: small pictures, which a page shows under
    its own content policy and a browser caches by a lasting address; ZIPs, which aren't stored; and what a
    program asked for, since the contract answers with the bytes and many clients follow no redirect.
    """
    link = getattr(default_storage, "link", None)
    if link is None or not settings.S3_LINK_SECONDS:
        return FileResponse(file.open(), as_attachment=True, filename=name, content_type=content_type)
    _ = file.size  # asks the bucket: behind the link, a missing file would be an error page of its own
    headers = {
        "ResponseContentDisposition": file_names.attachment(name),
        "ResponseContentType": content_type,
        "ResponseCacheControl": "private, no-store",
    }
    response = HttpResponseRedirect(link(str(file.name), headers))
    response["Cache-Control"] = "private, no-store"  # the link opens the file for whoever has it
    return response
