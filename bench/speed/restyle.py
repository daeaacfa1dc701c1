"""``python -m bench.speed.restyle [--pictures 40]``: restyle photos of 12 MP, live and as a batch.

Beside it the same with Pillow alone, as a script would do it: it decodes an ordinary PNG of the cut-out,
resizes it, puts it on white and encodes it. Both take turns. Run it by hand on a quiet machine.
The time on the CPU is that of all threads; it hardly depends on what else the machine does.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

FOLDER = tempfile.TemporaryDirectory(prefix="bench-restyle-")
os.environ |= {"DATA_DIR": FOLDER.name, "DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
os.environ.pop("DATABASE_URL", None)

import django  # noqa: E402

django.setup()  # before anything that defines or reads a model is imported

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from bench.speed import restyle_pillow as pillow  # noqa: E402
from bench.speed.restyle_pictures import done_batch  # noqa: E402
from jobs.models import Batch, Job, Rendition  # noqa: E402
from jobs.renditions import apply, render  # noqa: E402
from jobs.renditions.apply import Output  # noqa: E402
from jobs.renditions.marketplaces import BY_KEY  # noqa: E402
from jobs.renditions.previews import Size  # noqa: E402
from jobs.renditions.style import Style  # noqa: E402
from jobs.renditions.styled import styled_preview  # noqa: E402
from jobs.renditions.wanted import make_wanted  # noqa: E402

Times = tuple[float, float]

AIM_MS = 600
REPEATS = 15
WHITE = BY_KEY["amazon"].style
STYLES = {
    "white, cropped, 2000 × 2000": WHITE,
    "the same with a soft shadow": Style.parse(WHITE.canonical() | {"shadow": "soft"}),
    "blurred original": Style.parse({"background": "blur", "shadow": "contact"}),
    "transparent WebP": Style.parse({"format": "webp", "crop": True, "margin": "5%"}),
}
RECIPE = [
    Style.parse({"format": kind, "size": f"{side} {side}", "crop": True})
    for kind, side in (("jpeg", 1600), ("webp", 1200), ("jpeg", 800))
]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.restyle", description=__doc__)
    parser.add_argument("--pictures", type=int, default=40)
    given = parser.parse_args(arguments)
    call_command("migrate", verbosity=0)
    with _ended():
        batch = done_batch(given.pictures)
        sys.stdout.writelines(f"{line}\n" for line in [*live(batch), *whole(batch)])
    return 0


def live(batch: Batch) -> Iterator[str]:
    """Measure a change of style on the picture's page, until the preview's bytes are there."""
    job = batch.jobs.select_related("team", "reused_from").earliest("pk")
    first = _measured(lambda: styled_preview(job, WHITE, Size.PAGE))[0]
    yield f"Preview of a 12 MP master, aim {AIM_MS} ms"
    yield f"  {'the first, with the page’s own pictures':40}{first:5.0f} ms"
    ours: dict[str, list[Times]] = {name: [] for name in STYLES}
    theirs: list[Times] = []
    for _ in range(REPEATS):
        theirs.append(_measured(lambda: pillow.preview(job)))
        for name, style in STYLES.items():
            ours[name].append(_measured(lambda style=style: styled_preview(job, style, Size.PAGE)))  # type: ignore[misc]
    yield f"  {'Pillow alone, from the full cut-out':40}{_summary(theirs, theirs)}"
    for name, times in ours.items():
        yield f"  {name:40}{_summary(times, theirs)}"


def whole(batch: Batch) -> Iterator[str]:
    """Measure the restyling of a batch by one worker thread, and one picture after the other beside it."""
    jobs = list(batch.jobs.select_related("team", "reused_from").order_by("pk"))
    times: dict[str, list[Times]] = {"ours": [], "Pillow alone": []}
    for job in jobs[:REPEATS]:
        times["ours"].append(_measured(lambda job=job: render.make(job, WHITE)))  # type: ignore[misc]
        times["Pillow alone"].append(_measured(lambda job=job: pillow.restyle(job)))  # type: ignore[misc]
    yield "Restyling in full size, white, cropped, 2000 × 2000 JPEG, one after the other"
    for name, each in times.items():
        yield f"  {name:40}{_summary(each, times['Pillow alone'])}"
    yield from _batch(batch, "a style", [Output("", STYLES["the same with a soft shadow"])])
    yield from _batch(batch, "a recipe of three", [Output("", style) for style in RECIPE])


def _batch(batch: Batch, name: str, outputs: Sequence[Output]) -> Iterator[str]:
    Rendition.objects.all().delete()
    wanted = apply.apply(batch, outputs)
    seconds = _measured(make_wanted)[0] / 1000
    failed = Rendition.objects.exclude(state=Rendition.State.MADE).count()
    pictures = Job.objects.filter(batch=batch).count()
    rates = [count / seconds * 60 for count in (pictures, wanted)]
    yield f"  A batch of {pictures} in {name}, by one thread: {seconds:.1f} s, {failed} failed"
    yield f"    {rates[0]:.0f} pictures and {rates[1]:.0f} files a minute"


def _measured(call: Callable[[], object]) -> Times:
    """Return the milliseconds that pass, and those that the CPU works."""
    started = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - started[0]) * 1000, (time.process_time() - started[1]) * 1000


def _summary(times: Sequence[Times], beside: Sequence[Times]) -> str:
    """Return median and range, the ratio to the baseline's median, and the same of the CPU."""
    passed, worked = zip(*times, strict=True)
    ratios = [median(own) / median(other[at] for other in beside) for at, own in enumerate((passed, worked))]
    return (
        f"{median(passed):5.0f} ({min(passed):.0f} to {max(passed):.0f}) ms, {ratios[0]:.2f} of it;"
        f" CPU {median(worked):.0f} ms, {ratios[1]:.2f} of it"
    )


@contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    finally:
        connection.close()
        FOLDER.cleanup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
