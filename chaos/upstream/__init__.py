"""The upstream that fails as ordered, and the second witness of every charge.

``python -m chaos.upstream`` speaks the contract in a process of its own; ``in_thread`` does it in a test's.
It writes each call and each charge to a journal, synced before a byte of the response leaves. ``--faults``
lists what it can do instead of answering: ``faults`` names them, ``wire`` listens, ``server`` takes calls and
orders, ``journal`` writes, ``responses`` sends, ``running`` starts the whole from a test or an experiment.
"""

from chaos.upstream.faults import FAULTS, Fault
from chaos.upstream.journal import Call, Charge, Log, Purchase, read_log
from chaos.upstream.responses import result_for
from chaos.upstream.running import Options, Server, Step, running
from chaos.upstream.server import KNOWN

__all__ = [
    "FAULTS",
    "KNOWN",
    "Call",
    "Charge",
    "Fault",
    "Log",
    "Options",
    "Purchase",
    "Server",
    "Step",
    "read_log",
    "result_for",
    "running",
]
