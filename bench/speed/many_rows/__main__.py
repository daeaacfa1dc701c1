"""``python -m bench.speed.many_rows``: R6, each page at 1.2 million pictures.

Fills a database with pictures, their calls, transfers and all else that years leave behind, and asks for each
page of a team and of staff and for what programs read, as the URLconf has them, by the real WSGI application.
Prints the median and the 95th percentile of each, in milliseconds, and the median and the least of those that
processors worked for it. With ``--database`` the database is made for this and thrown away; otherwise it is
that of the settings (``DATA_DIR`` or ``DATABASE_URL``), filled if it is empty and kept for other runs.
"""

import argparse
import os
import sys
from importlib import import_module

import django
from django.core.management import call_command

from chaos.environment import built


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.many_rows", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    parser.add_argument("--jobs", type=int, default=1_200_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="ask only for pages whose name contains this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the folder behind, and print its name")
    options = parser.parse_args()
    # Each needs Django's models, and so the settings of the environment.
    if options.database:
        with built(options, settings={"LOG_LEVEL": "ERROR"}) as environment:
            environment.set_up()
            import_module("bench.speed.many_rows.pages").measure(options)
    else:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pixian_web.settings")
        django.setup()
        call_command("migrate", verbosity=0)
        import_module("bench.speed.many_rows.pages").measure(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
