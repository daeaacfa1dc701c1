"""E4, the ambiguous time-out: ``python -m chaos.timeouts --timeout 8``.

The upstream takes 5 to 260 s for its answers, all times scaled so that the client's idle time-out of 200 s is
as short as ``--timeout``. Up to 185 s each call must be one charge and a job done; beyond it, and behind a
proxy that cuts at 60 s or answers 504, the job must be in doubt after one call, until a person says what the
upstream's own log says.

The control is an impatient client: a time-out of 60 s puts slow answers in doubt, and one that takes it for
"not processed" is charged twice, which the judge must see.
"""

import sys

from chaos import stage

TIMEOUT_SECONDS = 200


def main() -> int:
    parser = stage.parser("chaos.timeouts", "Answers that come late, or too late.")
    parser.add_argument("--timeout", type=int, default=8, metavar="SECONDS", help="stand for 200")
    parser.add_argument("--each", type=int, default=2, help="calls of each kind, all at once")
    options = parser.parse_args()
    scale = options.timeout / TIMEOUT_SECONDS
    environment = {"PIXIAN_TIMEOUT": str(options.timeout), "LEASE_SECONDS": "5"}
    with stage.built(options, answers={"scale": scale}, environment=environment) as here:
        return int(here.scene("chaos.timeouts_cases").run(here, options, scale))


if __name__ == "__main__":
    sys.exit(main())
