"""E25, one key against all: ``python -m chaos.shares --calls 30 --seconds 40``.

One team's programs ask for pictures at an address whose server drips, more of them at once than the gateway
has places, and ask again at once. Meanwhile another team's calls, with a picture and with an address, must
each be answered within two seconds. The control is the gateway without shares.
"""

import sys

from chaos import stage
from chaos.servers import free_port


def main() -> int:
    parser = stage.parser("chaos.shares", "One key against all.")
    parser.add_argument("--calls", type=int, default=30, help="at once")
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--within", type=float, default=2, help="seconds, in which others must be answered")
    options = parser.parse_args()
    dripping, quick = free_port(), free_port()
    environment = {
        "PORT": str(free_port()),
        "PIXIAN_TIMEOUT": "200",
        "LEASE_SECONDS": "60",
        "API_CALLS_PER_KEY": "0",
        "API_CALLS_PER_TEAM": "0",
        "FETCH_NETWORKS": "127.0.0.0/8",
        "FETCH_PORTS": f"{dripping},{quick}",
    }
    with stage.built(options, environment=environment) as here:
        return int(here.scene("chaos.shares_scene").run(here, options, dripping, quick))


if __name__ == "__main__":
    sys.exit(main())
