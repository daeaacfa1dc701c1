"""The upstream that fails as ordered, and the second witness of every charge.

``running`` starts it in a process of its own, ``in_thread`` in a test's. It writes each call and each charge
to a journal, synced before a byte of the response leaves. ``faults`` names what it can do instead of
answering, ``wire`` listens, ``server`` takes calls and orders, ``journal`` writes, ``responses`` sends.
"""

from chaos.upstream.faults import FAULTS, Fault, Step
from chaos.upstream.journal import Call, Charge, Log, read_log
from chaos.upstream.responses import result_for
from chaos.upstream.running import Server, running
from chaos.upstream.server import KNOWN

__all__ = [
    "FAULTS",
    "KNOWN",
    "Call",
    "Charge",
    "Fault",
    "Log",
    "Server",
    "Step",
    "read_log",
    "result_for",
    "running",
]
