"""Print the processes of the Procfile that these settings need, as honcho's arguments.

Run as ``python -m pixian_web.processes``. Without ``--port``, honcho assigns ports itself and overrides
``PORT``.
"""

import sys

from pixian_web.settings import CELERY_BROKER_URL, PIXIAN_EMBEDDED, PORT


def needed() -> list[str]:
    workers = ["celery", "beat"] if CELERY_BROKER_URL else ["worker"]
    return ["web", *workers, *(["engine"] if PIXIAN_EMBEDDED else [])]


if __name__ == "__main__":
    sys.stdout.write(f"--port {PORT} {' '.join(needed())}\n")
