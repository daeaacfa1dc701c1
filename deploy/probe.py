"""Exit with 0 if web, or the engine at the socket that is given, responds to /healthz.

::

    python deploy/probe.py                       web, at PORT of this machine
    python deploy/probe.py /data/engine.sock     the engine
"""

import os
import socket
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 5
OK = 200


def status(engine_socket: str | None) -> int:
    """Return the response's status; raises OSError or HTTPException if there is none."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=TIMEOUT_SECONDS)
    if engine_socket:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT_SECONDS)
        connection.sock.connect(engine_socket)
    connection.request("GET", "/healthz")
    return connection.getresponse().status


if __name__ == "__main__":
    try:
        code = status(sys.argv[1] if sys.argv[1:] else None)
    except (OSError, HTTPException) as error:
        sys.exit(f"no response: {error}")
    sys.exit(None if code == OK else f"status {code}")
