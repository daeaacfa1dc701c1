"""Send a list as a file, written while it is sent."""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from typing import cast

from django.http import StreamingHttpResponse

CSV = "text/csv; charset=utf-8"


class Export(StreamingHttpResponse):
    """A file that is written while it is sent."""

    def begin(self) -> None:
        """Write the first block, before the headers are sent: until then a failure gets a page of its own."""
        blocks = iter(cast("Iterable[bytes]", self.streaming_content))
        with ExitStack() as failing:
            # A page replaces this response, so nobody closes it. Its own ``close`` would end the request too.
            for close in self._resource_closers:  # type: ignore[attr-defined]
                failing.callback(close)
            first = next(blocks, b"")
            failing.pop_all()
        self.streaming_content = chain([first], blocks)


def attachment(blocks: Iterable[bytes], name: str, content_type: str = CSV) -> Export:
    """Return a response to be saved under this name, which is plain ASCII; no cache stores it."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
    }
    return Export(blocks, content_type=content_type, headers=headers)
