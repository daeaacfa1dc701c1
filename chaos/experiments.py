"""The experiments by name: what each is about, its options, and the environment that it needs.

No Django here: it reads its settings once, from an environment that is built by these.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.servers import free_port

Given = argparse.Namespace

MIX = (
    "ok=60,free=2,above_hold=2,no_charge_header=2,seven_decimals=1,not_a_picture=1,slow_body=2,"
    "slow_down_bare=5,slow_down=1,slow_down_bare_run=1,early_slow_down=1,suspended=1,"
    "server_html=5,overloaded=3,error_charged=2,gateway_charged=1,unreadable=3,refusal_charged=1,"
    "cut_body=3,reset_body=2,cut_unseen=1,cut_head=1,silent_head=1,silent=1,"
    "reset_early=1,reset_after_upload=3,reset_after_upload_charged=3,hang_up=2,hang_up_charged=2,"
    "delay_60=4,then_refuse=1,then_reset=1"
)
BUSY = {"mix": MIX, "delay": 0.1, "scale": 0.005}  # a minute is 300 ms
# Celery's workers wait as long as the product says, so there is less to wait for.
CELERY_MIX = (
    "ok=80,free=2,above_hold=2,no_charge_header=2,slow_down_bare=2,server_html=2,unreadable=2,"
    "cut_body=3,reset_body=2,reset_after_upload=3,reset_after_upload_charged=3,hang_up_charged=2"
)
# None of them puts a job in doubt: jobs are in doubt in the end by the database's deaths alone.
MIX_WITHOUT_DOUBTS = "ok=80,slow_down_bare=6,server_error=4,error_charged=4,no_charge_header=4,unreadable=2"

Options = Mapping[str, tuple[object, str]]


@dataclass(frozen=True)
class Experiment:
    """An experiment's options and environment.

    options: their defaults and help. answers: the upstream's settings. settings: the product's, in which an
    option's name in braces stands for its value. only: the one database that it runs on. broker: with one, on
    PostgreSQL. fast: with short waits.
    """

    about: str
    options: Options
    answers: Mapping[str, Any] | Callable[[Given], Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None
    broker: bool = False
    fast: bool = True
    teams: int = 3

    def uses_broker(self, given: Given) -> bool:
        return self.broker or bool(getattr(given, "celery", False))

    def answers_for(self, given: Given) -> Mapping[str, Any]:
        return self.answers(given) if callable(self.answers) else self.answers

    def settings_for(self, given: Given) -> dict[str, str]:
        return {name: value.format(**vars(given)) for name, value in self.settings.items()}


TIMES_SCALE = 8 / 200  # of the upstream's times, so that the client's 200 s are 8
PATIENT = {"PIXIAN_TIMEOUT": "200", "LEASE_SECONDS": "60"}
FOR_PROGRAMS = {"WEB_THREADS": "16", "GATEWAY_WAIT_SECONDS": "2"}
TO_RECEIVERS = {"FETCH_NETWORKS": "127.0.0.2/32", "FETCH_PORTS": str(free_port())}
WITHIN: tuple[object, str] = (2.0, "seconds in which others must be answered")

EXPERIMENTS = {
    "books": Experiment(
        "E10: plant four faults in the upstream's log; the balances must show exactly these.",
        {"attempts": (5000, "how many calls")},
    ),
    "crash": Experiment(
        "E1: kill or freeze a worker at each commit and each I/O of a call.",
        {
            "chains": (6, "workers killed one after another at one job, for each answer"),
            "every": (1, "each n-th point, others with each seed"),
            "freeze": (False, "freeze workers instead, and let them go on"),
        },
    ),
    "kills": Experiment(
        "E2: kill workers at random until so many have died.",
        {
            "kills": (300, "how many"),
            "workers": (4, "at once"),
            "scale": (0.1, "of the 0.3 to 3 s between two kills"),
            "gateway": (False, "a web process too, amid programs' calls"),
            "celery": (False, "Celery's workers, their beat and their broker"),
        },
        lambda given: {"mix": CELERY_MIX, "delay": 0.1} if given.celery else BUSY,
        FOR_PROGRAMS,
    ),
    "database": Experiment(
        "E3: kill the database, or all who use it, under load.",
        {"kills": (5, "how many")},
        {"delay": 0.4, "mix": MIX_WITHOUT_DOUBTS},
        {"LEASE_SECONDS": "4"},  # longer than the database is away, as the product's 60
    ),
    "full": Experiment(
        "E33: fill the volume of database and pictures under load, and make room again.",
        {"fills": (10, "how often"), "lease": (6, "seconds; the volume is full for up to 6")},
        {"delay": 0.2, "mix": MIX_WITHOUT_DOUBTS},
        FOR_PROGRAMS | {"LEASE_SECONDS": "{lease}"},
    ),
    "timeouts": Experiment(
        "E4: answer late, or too late; the client's 200 s are 8.",
        {},
        {"scale": TIMES_SCALE},
        {"PIXIAN_TIMEOUT": "8", "LEASE_SECONDS": "5"},
    ),
    "leases": Experiment(
        "E5: make long calls on short leases, and freeze workers past theirs.",
        {"rounds": (1, "of workers frozen at random")},
        settings={"LEASE_SECONDS": "2", "PIXIAN_TIMEOUT": "60"},
    ),
    "slow": Experiment(
        "E23: open connections that drip.",
        {
            "connections": (40, "of each kind"),
            "seconds": (60, "for each kind"),
            "within": WITHIN,
            "patience": (20, "WEB_PATIENCE_SECONDS"),
            "processes": (1, "WEB_PROCESSES"),
        },
        {"result_bytes": 5_000_000},
        PATIENT | {"WEB_PROCESSES": "{processes}", "WEB_PATIENCE_SECONDS": "{patience}"},
        fast=False,
        teams=2,
    ),
    "pictures": Experiment(
        "E24: send pictures that are attacks to an engine, three at once, and a small photo beside them.",
        {},
    ),
    "shares": Experiment(
        "E25: let one team's programs ask for pictures at a dripping address, more than there are places.",
        {"seconds": (40, "of load"), "within": WITHIN},
        settings=PATIENT | {"FETCH_NETWORKS": "127.0.0.0/8", "FETCH_PORTS": f"{free_port()},{free_port()}"},
        fast=False,
        teams=2,
    ),
    "batch": Experiment(
        "E27: upload batches over lines that are cut, with credits for half; kill client and worker.",
        {"runs": (2, "batches, one after another"), "photos": (300, "of each batch")},
        {"delay": 0.02},
        {"WEB_THREADS": "16"},
    ),
    "release": Experiment(
        "E32: let a worker of an older release process what today's web process takes in.",
        {"uploads": (5, "of two pictures, and as many calls")},
        settings={"WEB_THREADS": "16"},
    ),
    "restore": Experiment(
        "E26: back up under load, lose all and restore it; then an older dump, then an empty database.",
        {"seconds": (10.0, "of load before the backup, and as many after it")},
        {"mix": CELERY_MIX, "delay": 0.1},
        # Longer than a busy machine forgets a worker for, and over before the restore is.
        FOR_PROGRAMS | {"LEASE_SECONDS": "3"},
    ),
    "webhooks": Experiment(
        "E18: kill workers at random amid webhooks to receivers that fail, are slow and die.",
        {"kills": (50, "how many"), "scale": (0.5, "of the 0.3 to 3 s between two kills")},
        {"delay": 0.1, "mix": MIX_WITHOUT_DOUBTS},
        TO_RECEIVERS,
        teams=1,
    ),
    "mixed": Experiment(
        "Put mixed load on a site for hours, with all faults at random, and watch its memory.",
        {"hours": (2.0, "of load")},
        BUSY,
        TO_RECEIVERS
        | {
            "LEASE_SECONDS": "12",
            "PIXIAN_TIMEOUT": "5",
            "WEB_THREADS": "16",
            "GATEWAY_WAIT_SECONDS": "5",
            "WEB_PATIENCE_SECONDS": "20",
            "METRICS_TOKEN": "not a token of anyone",
        },
        fast=False,
        teams=1,
    ),
    "broker": Experiment(
        "Kill Redis while Celery's workers are at work.",
        {"kills": (20, "how many"), "workers": (4, "at once")},
        {"delay": 0.2},
        {"LEASE_SECONDS": "10"},
        broker=True,
    ),
    "connections": Experiment(
        "Run many programs on few connections to PostgreSQL.",
        {"seconds": (20.0, "of load"), "restart": (False, "PostgreSQL, in the middle")},
        {"delay": 0.5},
        {
            "LEASE_SECONDS": "6",
            "WEB_PROCESSES": "3",
            # So that every web process has a place for every program, which are all of one team.
            "WEB_THREADS": "72",
            "GATEWAY_WAIT_SECONDS": "80",  # the limit on calls is for another experiment
            "PIXIAN_TIMEOUT": "60",
        },
        only="postgresql",
    ),
}


@dataclass
class Outcome:
    """The findings of an experiment.

    failures: sentences. controls: what was noticed of each; never 0. facts: figures to print.
    """

    failures: list[str]
    controls: Mapping[str, int]
    facts: Mapping[str, object] = field(default_factory=dict)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
