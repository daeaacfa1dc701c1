"""Hold and settle for a while as one client of ``bench.speed.ledger``, and print how often.

The client says when it is ready and waits for the word to begin, so that all clients begin together.
"""

import sys
import time

import django

django.setup()

from accounts.ledger import operations as ledger  # noqa: E402 - models can be imported once Django is set up
from accounts.models import Team  # noqa: E402

HELD, CHARGED = 1000, 600


def hold_and_settle(team: Team, key: str) -> None:
    held = ledger.hold(team, HELD, key=key, reference="bench")
    ledger.settle(held, CHARGED)


def main(slug: str, name: str, seconds: float) -> None:
    team = Team.objects.get(slug=slug)
    hold_and_settle(team, f"{name}:warm")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    end, times = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        hold_and_settle(team, f"{name}:{times}")
        times += 1
    sys.stdout.write(f"{times}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
