"""``python -m pixian_web.ports`` prints the port of the web process, for the Makefile.

honcho numbers ports itself unless it is told one, and would override ``PORT``.
"""

import sys

from pixian_web.settings import PORT

if __name__ == "__main__":
    sys.stdout.write(f"{PORT}\n")
