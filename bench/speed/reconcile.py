"""``python -m bench.speed.reconcile [--jobs 1000000]``: R10, reconcile many attempts, and raw SQL beside it.

Fills a database of its own with booked calls and a balance for each hour of them, and times what ``manage.py
reconcile`` does over all of them: verdicts, sums and periods. Every sum must equal a plain GROUP BY to the
micro-credit. Then it times the pages of staff.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from importlib import import_module

from chaos.servers import postgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.reconcile", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    with ExitStack() as ends:
        os.environ["DATA_DIR"] = ends.enter_context(tempfile.TemporaryDirectory(prefix="pixian-"))
        os.environ["DJANGO_SETTINGS_MODULE"] = "pixian_web.settings"
        if options.database == "postgresql":
            os.environ["DATABASE_URL"] = ends.enter_context(postgres()).url
        # Imports Django's models, which need these settings.
        return int(import_module("bench.speed.reconcile_scene").run(options.jobs))


if __name__ == "__main__":
    sys.exit(main())
