"""``python -m bench.speed.recovery``: R9. Everything is killed under load and started again at once.

Everything: real ``manage.py worker`` processes and, with ``--database postgresql``, the postmaster. Timed is
how long it takes until each job that was running moves again (claimed anew, or ended) and until any other
job does, with the product's own lease of 60 s and with one of 10 s.
"""

import sys

from chaos import stage

AIM_SECONDS = 90


def main() -> int:
    parser = stage.parser("bench.speed.recovery", "Kills everything under load and times its way back.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--leases", type=int, nargs="+", default=[60, 10], metavar="SECONDS")
    options = parser.parse_args()
    environment = {"PIXIAN_TIMEOUT": "200", "LOG_LEVEL": "WARNING"}
    with stage.built(options, answers={"delay": 2}, environment=environment) as here:
        return int(here.scene("bench.speed.recovery_scene").run(here, options, AIM_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
