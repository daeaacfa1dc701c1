"""Make a batch of 12 MP photos that are cut out, without an upstream."""

import io
from uuid import uuid4

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageDraw, ImageFilter

from accounts.models import User
from accounts.teams.create import open_team
from bench.speed.steps import large_photo
from jobs.batches.create import open_batch
from jobs.models import Batch, Job
from pixian.imaging import delta_png, encode
from pixian.imaging.convert import Pixels
from pixian.protocol.options import Options

PLAIN_CUT_OUT = "cut-out.png"
"""Beside each source: the ordinary PNG that the baseline begins with."""


def done_batch(pictures: int) -> Batch:
    """Return a batch whose masters are delta PNGs, as every browser's are."""
    user = User.objects.create_user("bench@example.org")
    team = open_team("Bench", user, 0)
    batch = open_batch(team, user, uuid4(), "Bench")
    photo = large_photo(12)
    original = np.array(Image.open(io.BytesIO(photo)).convert("RGBA"))
    cut_out = original.copy()
    cut_out[..., 3] = _alpha(original)
    delta, plain = delta_png.encode(original, cut_out), encode.encode(cut_out.copy(), Options())
    for number in range(pictures):
        folder = f"bench/{uuid4().hex}"
        for name, content in (("source.jpg", photo), ("result-1.png", delta), (PLAIN_CUT_OUT, plain)):
            default_storage.save(f"{folder}/{name}", ContentFile(content))
        Job.objects.create(
            team=team,
            created_by=user,
            request_id=uuid4(),
            batch=batch,
            number=number,
            options={"output.format": "delta_png"},
            name=f"photo-{number}.jpg",
            source=f"{folder}/source.jpg",
            source_sha256="0" * 64,
            source_bytes=len(photo),
            content_type="image/jpeg",
            width=original.shape[1],
            height=original.shape[0],
            estimated_microcredits=0,
            state=Job.State.DONE,
            result=f"{folder}/result-1.png",
        )
    return batch


def _alpha(original: Pixels) -> Pixels:
    """Return a subject with a soft edge, which fills a third of the frame."""
    height, width = original.shape[:2]
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse((width // 5, height // 8, width * 4 // 5, height * 9 // 10), fill=255)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(3)))
