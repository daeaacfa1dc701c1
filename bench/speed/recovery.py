"""``python -m bench.speed.recovery``: R9. Everything is killed under load and started again at once.

Everything: real ``manage.py worker`` processes and, with ``--database postgresql``, the postmaster. The bench
times how long it takes until each job that was running moves again (claimed anew, or ended) and until any
other job does, with the product's own lease of 60 s and with one of 10 s.
"""

import argparse
import sys
from importlib import import_module

from chaos.environment import built

AIM_SECONDS = 90


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.recovery", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the folder behind, and print its name")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--leases", type=int, nargs="+", default=[60, 10], metavar="SECONDS")
    options = parser.parse_args()
    settings = {"PIXIAN_TIMEOUT": "200", "LOG_LEVEL": "WARNING"}
    with built(options, answers={"delay": 2}, settings=settings) as environment:
        environment.set_up()
        # Imports Django's models, which need the settings of this environment.
        return int(import_module("bench.speed.recovery_scene").run(environment, options, AIM_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
