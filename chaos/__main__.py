"""``python -m chaos EXPERIMENT [--seed N]``: make what could go wrong go wrong, and check the promises.

Each experiment ends with its control, a planted bug that it must notice, and prints one line of figures. Exit
status 1 if a promise was broken, or the control went unnoticed. ``soak`` runs all long forms, for hours.
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module

from chaos import hosts
from chaos.environment import built
from chaos.experiments import EXPERIMENTS, Experiment, Outcome, say

LONG_FORMS = (
    "crash --every 1 --chains 20",
    "crash --every 1 --freeze",
    "kills --kills 3000 --scale 1",
    "kills --gateway --kills 1000 --scale 1",
    "database --kills 100",
    "full --fills 100 --lease 2",  # which runs out meanwhile
    "leases --rounds 100",
    "batch --runs 20",
    "webhooks --kills 50",
    "books --attempts 100000",
    "release --uploads 100",
    "mixed --hours 2",
    "restore --seconds 60",
)
ON_POSTGRESQL_ALONE = (
    "kills --celery --kills 300 --scale 1",
    "broker --kills 100",
    "connections --seconds 300 --restart",
)
ON_SQLITE_ALONE = (
    "timeouts",
    "slow",
    "slow --processes 2 --connections 80",  # more than the control has threads
    "shares --seconds 60",
)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.experiment == "soak":
        return soak(random.randrange(10**6) if options.seed is None else options.seed)  # noqa: S311 - printed
    options.seed = 1 if options.seed is None else options.seed
    experiment = EXPERIMENTS[options.experiment]
    if experiment.only or experiment.uses_broker(options):
        options.database = experiment.only or "postgresql"
    began = time.monotonic()
    outcome = run(experiment, options, arguments)
    figures = {**outcome.facts, "failures": len(outcome.failures), **outcome.controls}
    figures["seconds"] = round(time.monotonic() - began)
    for failure in outcome.failures:
        say(failure)
    begin = [" ".join(arguments), options.database, f"seed {options.seed}"]
    say(" · ".join([*begin, *(f"{what} {figure}" for what, figure in figures.items())]))
    return 0 if all(outcome.controls.values()) and not outcome.failures else 1


def run(experiment: Experiment, options: argparse.Namespace, arguments: Sequence[str]) -> Outcome:
    """Build the environment, and then import Django and what runs in it."""
    broker = experiment.uses_broker(options)
    two_hosts = broker and not experiment.broker and hosts.enter(arguments)
    with ExitStack() as ends:
        options.other_host = ends.enter_context(hosts.other()) if two_hosts else None
        answers, settings = experiment.answers_for(options), experiment.settings_for(options)
        building = built(options, answers=answers, settings=settings, broker=broker, two_hosts=two_hosts)
        environment = ends.enter_context(building)
        environment.set_up()
        system = import_module("chaos.system").System(
            environment, seed=options.seed, teams=experiment.teams, fast=experiment.fast
        )
        module = import_module(f"chaos.{options.experiment}")
        outcome: Outcome = module.run(ends.enter_context(system), options)
        return outcome


def soak(seed: int) -> int:
    """Run the long forms of all experiments one after another, and print their last lines once more."""
    say(f"seed {seed}")
    lines, failed = [], False
    forms = [f"{form} --database {name}" for form in LONG_FORMS for name in ("sqlite", "postgresql")]
    forms += [f"{form} --database postgresql" for form in ON_POSTGRESQL_ALONE]
    forms += [f"{form} --database sqlite" for form in ON_SQLITE_ALONE]
    for form in forms:
        began, last = time.monotonic(), form
        say(f"\n$ python -m chaos {form} --seed {seed}")
        command = [sys.executable, "-m", "chaos", *form.split(), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            for line in process.stdout or ():
                say(line.rstrip())
                last = line.strip() or last
        failed |= process.returncode != 0
        verdict = "FAILED" if process.returncode else "ok    "
        lines.append(f"{verdict} {time.monotonic() - began:6.0f} s  {last}")
    say("\n".join(["", *lines]))
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    commands = parser.add_subparsers(dest="experiment", required=True)
    commands.add_parser("soak", help="All long forms, one after another.").add_argument("--seed", type=int)
    for name, experiment in EXPERIMENTS.items():
        command = commands.add_parser(name, help=experiment.about, description=experiment.about)
        command.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
        command.add_argument("--seed", type=int)
        command.add_argument("--keep", action="store_true", help="leave the folder behind; print its name")
        for option, (default, about) in experiment.options.items():
            if isinstance(default, bool):
                command.add_argument(f"--{option}", action="store_true", help=about)
            else:
                command.add_argument(f"--{option}", type=type(default), default=default, help=about)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
