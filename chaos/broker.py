"""The broker dies under load: ``python -m chaos.broker --database postgresql --kills 20 --seed 1``.

Celery's workers and their beat go on while Redis is killed and started again after a random time; nobody
restarts a worker. No worker may end, and every job must be done in the end.

The control runs workers that keep unacknowledged messages, as Celery does by default: some of them must end.
"""

import sys

from chaos import stage
from chaos.upstream.running import Options

ANSWERS: Options = {"delay": 0.2}
ENVIRONMENT = {"LEASE_SECONDS": "10"}


def main() -> int:
    parser = stage.parser("chaos.broker", "Kills Redis while Celery's workers are at work.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    with stage.built(options, answers=ANSWERS, environment=ENVIRONMENT, broker=True) as here:
        return int(here.scene("chaos.broker_kills").run(here, options))


if __name__ == "__main__":
    sys.exit(main())
