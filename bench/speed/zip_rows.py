"""Make a batch whose pictures are cut out and restyled: ``python -m bench.speed.zip_rows COUNT BYTES``.

Prints the address of its ZIP. The files have random content: nothing here reads them as pictures.
``bench.speed.zip`` runs it with an instance's settings in its environment.
"""

import os
import sys
import zlib
from collections.abc import Sequence
from hashlib import sha256
from uuid import uuid4

import django
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

django.setup()  # before anything that defines or reads a model is imported

from accounts.models import Team, User  # noqa: E402
from jobs.batches.create import open_batch  # noqa: E402
from jobs.models import Attempt, Job, Rendition  # noqa: E402
from jobs.renditions.style import PLAIN  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    count, size = map(int, arguments)
    team, user = Team.objects.all()[0], User.objects.all()[0]
    batch = open_batch(team, user, uuid4(), "Bench")
    for number in range(1, count + 1):
        folder, content = f"{team.slug}/{uuid4().hex}", os.urandom(size)
        stored = default_storage.save(f"{folder}/rendition.png", ContentFile(content))
        job = Job.objects.create(
            team=team, created_by=user, request_id=uuid4(), batch=batch, number=number,
            options={"output.format": "delta_png"}, name=f"DSC_{number:05}.JPG", folder="shoes",
            source=f"{folder}/source.jpg", source_sha256="0" * 64, source_bytes=1, content_type="image/jpeg",
            width=4000, height=3000, estimated_microcredits=0, state=Job.State.DONE, test=True,
            result=f"{folder}/result-1.png", result_sha256="0" * 64, result_bytes=1,
        )  # fmt: skip
        Attempt.objects.create(
            job=job, number=1, state=Attempt.State.BOOKED, status=200, charged_microcredits=0, test=True,
            headers=[["Content-Type", "image/png"]],
        )  # fmt: skip
        Rendition.objects.create(
            job=job, style_sha256=PLAIN.sha256, state=Rendition.State.MADE, file=stored,
            content_type="image/png", sha256=sha256(content).hexdigest(), bytes=size,
            crc32=zlib.crc32(content), width=4000, height=3000,
        )  # fmt: skip
    sys.stdout.write(reverse("batch_zip", args=[team.slug, batch.pk]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
