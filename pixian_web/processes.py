"""``python -m pixian_web.processes`` prints which processes of the Procfile these settings need, as honcho's
arguments.

honcho numbers ports itself unless it is told one, and would override ``PORT``.
"""

import sys

from pixian_web.settings import CELERY_BROKER_URL, PIXIAN_EMBEDDED, PORT


def needed() -> list[str]:
    workers = ["celery", "beat"] if CELERY_BROKER_URL else ["worker"]
    return ["web", *workers, *(["engine"] if PIXIAN_EMBEDDED else [])]


if __name__ == "__main__":
    sys.stdout.write(f"--port {PORT} {' '.join(needed())}\n")
