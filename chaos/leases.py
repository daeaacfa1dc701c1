"""E5, a lease shorter than the call: ``python -m chaos.leases --database sqlite --seed 1``.

Calls take longer than their leases while other workers are hungry: the heartbeat has to keep each call from
being taken over. Then workers are frozen past their leases, at each point where it matters and at random;
others take their jobs over by the rules, and those that thaw must change nothing any more.

The controls: without a heartbeat calls in flight are taken over, and put in doubt although they would have
been answered; without fence and states those that thaw do damage, which the judge must see.
"""

import sys

from chaos import stage

ENVIRONMENT = {"LEASE_SECONDS": "2", "PIXIAN_TIMEOUT": "60"}


def main() -> int:
    parser = stage.parser("chaos.leases", "Long calls on short leases, and workers frozen past theirs.")
    parser.add_argument("--calls", type=int, default=8, help="long ones, at once")
    parser.add_argument("--rounds", type=int, default=1, help="of workers frozen at random")
    options = parser.parse_args()
    with stage.built(options, environment=ENVIRONMENT) as here:
        return int(here.scene("chaos.leases_cases").run(here, options))


if __name__ == "__main__":
    sys.exit(main())
