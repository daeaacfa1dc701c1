"""Send a list as a file, written while it is sent."""

from collections.abc import Iterable

from django.http import StreamingHttpResponse

CSV = "text/csv; charset=utf-8"


def attachment(blocks: Iterable[bytes], name: str, content_type: str = CSV) -> StreamingHttpResponse:
    """Return a response to be saved under this name, which is plain ASCII; no cache stores it."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
    }
    return StreamingHttpResponse(blocks, content_type=content_type, headers=headers)
