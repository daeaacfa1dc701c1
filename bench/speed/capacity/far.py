"""A line to the database that takes its time: a relay on loopback, in a process of its own."""

import socket
import threading
import time
from contextlib import suppress

from chaos.servers import free_port
from chaos.system import System


def relay(system: System, to: int, milliseconds: float) -> int:
    """Return the port of a relay to another one, on which each answer comes so much later."""
    port = free_port()
    listener = socket.create_server(("127.0.0.1", port), backlog=200)
    system.fork(lambda: _serve(listener, to, milliseconds / 1000))
    listener.close()
    return port


def _serve(listener: socket.socket, to: int, seconds: float) -> None:
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", to))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_carry, args=(client, server, 0), daemon=True).start()
        threading.Thread(target=_carry, args=(server, client, seconds), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, seconds: float) -> None:
    with suppress(OSError):
        while some := source.recv(1 << 16):
            time.sleep(seconds)
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)
