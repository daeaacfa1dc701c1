"""Print the processes of the Procfile that these settings need, as honcho's arguments.

Run as ``python -m pixian_web.processes``; it fails if web couldn't listen.
"""

import os
import socket
import sys

from pixian_web.settings import BIND_ADDRESS, CELERY_BROKER_URL, PIXIAN_EMBEDDED, PORT


def needed() -> list[str]:
    workers = ["celery", "beat"] if CELERY_BROKER_URL else ["worker"]
    return ["web", *workers, *(["engine"] if PIXIAN_EMBEDDED else [])]


def arguments() -> list[str]:
    """Return the arguments of ``honcho start``.

    Without ``--port``, honcho assigns ports itself and overrides ``PORT``. It reads ``.env`` otherwise than
    the settings do: a value ends at ``#``, and the file wins over the environment. So it gets no file, and
    each process reads ``.env`` itself.
    """
    return ["--env", os.devnull, "--port", str(PORT), *needed()]


def require_port() -> None:
    """Exit with what to do if web can't listen on its port.

    gunicorn would try again for seconds, while the link that was printed leads to another program's page.
    """
    family = socket.AF_INET6 if ":" in BIND_ADDRESS else socket.AF_INET
    try:
        socket.create_server((BIND_ADDRESS.strip("[]"), PORT), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SystemExit(
            f"Web can't listen on {BIND_ADDRESS}:{PORT}: {reason}. Stop what uses it, or put another port "
            "into .env (PORT=8001). A second instance needs another DATA_DIR as well."
        ) from error


if __name__ == "__main__":
    require_port()
    sys.stdout.write(f"{' '.join(arguments())}\n")
