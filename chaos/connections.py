"""More programs than connections: ``python -m chaos.connections --programs 50 --seed 1``.

Three web processes, fifty programs that call without a pause and a PostgreSQL with its default of 100
connections. All the while fewer must be taken, every call must be answered with its picture, and within a
lease after the load nothing may be left running and few connections be taken. In the middle PostgreSQL is
restarted once (``--restart``): the programs repeat what failed, and all must be well again by itself.

The control gives every thread a connection of its own and lets it keep it, as it was before there was a pool.
It must run out of them.
"""

import sys

from chaos import servers, stage
from chaos.upstream.running import Options

ANSWERS: Options = {"delay": 0.5}
ENVIRONMENT = {
    "LEASE_SECONDS": "6",
    "WEB_PROCESSES": "3",
    "WEB_THREADS": "64",  # so that whichever process a program comes to has a place for it
    "GATEWAY_WAIT_SECONDS": "30",
    "PIXIAN_TIMEOUT": "60",
    "API_CALLS_PER_KEY": "0",
    "API_CALLS_PER_TEAM": "0",
}


def main() -> int:
    parser = stage.parser("chaos.connections", "Many programs on few connections to PostgreSQL.")
    parser.add_argument("--programs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20, help="of load")
    parser.add_argument("--restart", action="store_true", help="PostgreSQL, in the middle")
    options = parser.parse_args()
    options.database = "postgresql"
    environment = {"PORT": str(servers.free_port())} | ENVIRONMENT
    with stage.built(options, answers=ANSWERS, environment=environment) as here:
        return int(here.scene("chaos.connections_load").run(here, options))


if __name__ == "__main__":
    sys.exit(main())
