"""Read a job's master: the cut-out that was paid for, and from which everything else is made at 0 credits."""

from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, cast

from jobs.models import Job
from pixian.imaging import convert, decode, delta_png
from pixian.imaging.convert import WorkingCopy
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.options import Options


@dataclass(frozen=True)
class Master:
    """A cut-out, decoded when it is first asked for.

    A delta PNG that doesn't fit its source is taken as the ordinary picture that the upstream made instead.
    """

    job: Job

    @cached_property
    def cut_out(self) -> WorkingCopy:
        """Return the cut-out in full size. Raises Refused if a file is damaged, and FileNotFoundError."""
        return self.merged or self._as_stored()

    @cached_property
    def merged(self) -> WorkingCopy | None:
        """Return what a delta PNG and its source make; None if it is no delta, or doesn't fit the source."""
        job = self.job
        if not (job.reused_from or job).is_delta:
            return None
        with job.result.open() as delta:
            try:
                pixels = delta_png.decode(self.original.pixels, delta.read())
            except ValueError:
                return None
        return WorkingCopy(pixels, self.original.profile, self.original.size)

    @cached_property
    def original(self) -> WorkingCopy:
        """Return the source, upright and in the size that was cut out."""
        cap = Options.parse((self.job.reused_from or self.job).options).max_pixels
        with self.job.source.open() as file:
            image, header = decode.open_picture(cast("BinaryIO", file))
            decode.decode(image)
            return convert.working_copy(image, header.orientation, cap)

    def _as_stored(self) -> WorkingCopy:
        with self.job.result.open() as file:
            image, header = decode.open_result(cast("BinaryIO", file))
            decode.decode(image)
            return convert.working_copy(image, header.orientation, MAX_RESULT_PIXELS)
