"""E3, the database dies: ``python -m chaos.database --database postgresql --kills 6 --seed 1``.

Uploads and workers go on all the while. PostgreSQL's postmaster is killed and started again after a random
time, and connections are cut off; nobody restarts a worker. SQLite has no server to kill, so all processes
that use the file are killed at once instead, and then another one keeps its lock for longer than anybody
waits. Each upload that was acknowledged and each booking that was committed is noted outside of the database:
in the end they must all be there, and the judge must find nothing.

The control acknowledges too early: PostgreSQL by ``synchronous_commit=off``, on SQLite the uploads before
their commit. Acknowledged uploads must be lost then.
"""

import sys

from chaos import stage
from chaos.upstream.running import Options

SCENES = {"postgresql": "chaos.database_server", "sqlite": "chaos.database_file"}
ANSWERS: Options = {
    "delay": 0.4,
    # None of them puts a job in doubt: whatever is in the end, is so by the database's deaths.
    "mix": "ok=80,slow_down_bare=6,server_error=4,error_charged=4,no_charge_header=4,unreadable=2",
}
LEASE_SECONDS = 4
"""Longer than the database is away, as it should be with the product's 60 s."""


def main() -> int:
    parser = stage.parser("chaos.database", "Kills the database, or all who use it, under load.")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--lease", type=int, default=LEASE_SECONDS, metavar="SECONDS")
    options = parser.parse_args()
    environment = {"LEASE_SECONDS": str(options.lease)}
    with stage.built(options, answers=ANSWERS, environment=environment) as here:
        return int(here.scene(SCENES[options.database]).run(here, options))


if __name__ == "__main__":
    sys.exit(main())
