"""E1: all answers, the verdict, and the control."""

import argparse
import sys
import time

from chaos.crash_cases import Crashes
from chaos.crash_doom import book_first
from chaos.crash_frozen import Freezes
from chaos.judge import failures
from chaos.site import Site
from chaos.stage import Stage, report


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    with Site(stage, seed=options.seed) as site:
        crashes = (Freezes if options.freeze else Crashes)(site, options)
        for answer in options.answers:
            crashes.of(answer)
        crashes.recover()
        found = failures(site.upstream.log())
        controls = control(site, options, found)
    sys.stdout.writelines(f"{failure}\n" for failure in found)
    report(
        "E1 freeze" if options.freeze else "E1 crash",
        options,
        answers=len(options.answers),
        points=crashes.points,
        cases=crashes.died,
        missed=crashes.missed,
        failures=len(found),
        control=len(controls),
        seconds=round(time.monotonic() - began),
    )
    return 0 if controls and not found else 1


def control(site: Site, options: argparse.Namespace, before: list[str]) -> list[str]:
    """What is found when "store" and "book" are swapped. All points are tried, the right ones among them."""
    crashes = Crashes(site, argparse.Namespace(seed=options.seed, every=1, chains=0), plant=book_first)
    crashes.of("ok")
    crashes.recover()
    return [failure for failure in failures(site.upstream.log()) if failure not in before]
