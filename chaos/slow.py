"""E23, slow strangers: ``python -m chaos.slow --connections 40 --seconds 60``.

Forty connections of a kind drip into the web process, and are opened again once they are closed. Meanwhile
``/healthz`` and a program's paid call must be answered within two seconds each time, and no connection may
stay open beyond its deadline. The control is gunicorn's gthread worker, which gives a thread to each of them.
"""

import sys

from chaos import stage
from chaos.servers import free_port
from chaos.upstream.running import Options

LARGE_RESULT_BYTES = 5_000_000


def main() -> int:
    parser = stage.parser("chaos.slow", "Connections that drip.")
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60, help="of each kind")
    parser.add_argument("--within", type=float, default=2, help="seconds, in which others must be answered")
    parser.add_argument("--patience", type=int, default=20, help="WEB_PATIENCE_SECONDS")
    parser.add_argument("--processes", type=int, default=1, help="WEB_PROCESSES")
    parser.add_argument("--kinds", nargs="*", default=[], help="of them only these")
    options = parser.parse_args()
    environment = {
        "PORT": str(free_port()),
        "PIXIAN_TIMEOUT": "200",
        "LEASE_SECONDS": "60",
        "API_CALLS_PER_KEY": "0",
        "API_CALLS_PER_TEAM": "0",
        "WEB_PROCESSES": str(options.processes),
        "WEB_PATIENCE_SECONDS": str(options.patience),
    }
    answers: Options = {"result_bytes": LARGE_RESULT_BYTES}
    with stage.built(options, answers=answers, environment=environment) as here:
        return int(here.scene("chaos.slow_scene").run(here, options))


if __name__ == "__main__":
    sys.exit(main())
