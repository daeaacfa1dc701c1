"""E2, a crash anywhere: ``python -m chaos.kills --database sqlite --seed 1 --kills 300``.

Some workers, more jobs than they can do, an upstream that answers in every way it can, and every now and then
``kill -9`` for one of the workers, which is replaced at once. When so many have died, the rest work off what
is left, and the judge must find nothing.

The control takes a call whose worker died for one that was never made, and makes it again; the judge must
find the second charge.

``--gateway`` kills the web process too, amid the calls of programs that ask again. Its control forgets their
Idempotency-Keys.

``--celery`` does the same to real Celery workers, their beat and their broker.
"""

import argparse
import sys

from chaos import hosts, servers, stage
from chaos.upstream.running import Options

SCENE = "chaos.kills_run"
MIX = (
    "ok=60,free=2,above_hold=2,no_charge_header=2,seven_decimals=1,not_a_picture=1,slow_body=2,"
    "slow_down_bare=5,slow_down=1,slow_down_bare_run=1,early_slow_down=1,suspended=1,"
    "server_html=5,overloaded=3,error_charged=2,gateway_charged=1,unreadable=3,refusal_charged=1,"
    "cut_body=3,reset_body=2,cut_unseen=1,cut_head=1,silent_head=1,silent=1,"
    "reset_early=1,reset_after_upload=3,reset_after_upload_charged=3,hang_up=2,hang_up_charged=2,"
    "delay_60=4,then_refuse=1,then_reset=1"
)
CELERY_MIX = (
    "ok=80,free=2,above_hold=2,no_charge_header=2,slow_down_bare=2,server_html=2,unreadable=2,"
    "cut_body=3,reset_body=2,reset_after_upload=3,reset_after_upload_charged=3,hang_up_charged=2"
)
"""Its workers wait as long as the product says, so there is less to wait for."""

UPSTREAM: Options = {"mix": MIX, "delay": 0.1, "scale": 0.005}
"""100 ms for an ordinary call; those that are told to take a minute take 300 ms."""


GATEWAY = {
    "WEB_THREADS": "16",
    "GATEWAY_WAIT_SECONDS": "2",
    "API_CALLS_PER_KEY": "0",
    "API_CALLS_PER_TEAM": "0",
}


def main() -> int:
    parser = stage.parser("chaos.kills", "Kills workers at random until so many have died.")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2, help="of each worker, at most")
    parser.add_argument("--scale", type=float, default=0.1, help="of the 0.3 to 3 s between two kills")
    parser.add_argument("--gateway", action="store_true", help="a web process too, amid programs' calls")
    parser.add_argument("--celery", action="store_true", help="Celery's workers on a private Redis")
    options = parser.parse_args()
    return with_celery(options) if options.celery else alone(options)


def alone(options: argparse.Namespace) -> int:
    environment = {"PORT": str(servers.free_port())} | GATEWAY
    with stage.built(options, answers=UPSTREAM, environment=environment) as here:
        return int(here.scene(SCENE).run(here, options))


def with_celery(options: argparse.Namespace) -> int:
    """On two hosts where this user may have them."""
    options.database = "postgresql"
    answers: Options = {"mix": CELERY_MIX, "delay": 0.1}
    if not hosts.enter("chaos.kills", sys.argv[1:]):
        with stage.built(options, answers=answers, broker=True) as here:
            return int(here.scene(SCENE).run(here, options))
    with hosts.other() as there:
        answers["bind"] = hosts.ADDRESS
        settings = hosts.POSTGRES_SETTINGS
        with stage.built(options, answers=answers, broker=True, postgres_settings=settings) as here:
            joined = hosts.joined(here)
            return int(joined.scene(SCENE).run(joined, options, there))


if __name__ == "__main__":
    sys.exit(main())
