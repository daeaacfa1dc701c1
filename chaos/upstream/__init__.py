"""The upstream that fails as it is told, and the second witness of every charge.

``python -m chaos.upstream`` is a server that speaks the contract in a process of its own. It writes
each call and each charge to a log, synced before a byte of the answer leaves, so that the log tells what
the product's books have to say. ``--faults`` lists what it can do instead of answering.

Place: one connection comes through the ``door``, ``server`` takes its calls, ``choice`` picks the
fault, ``journal`` writes, ``answers`` sends. ``running`` starts the whole from a test or an experiment.
"""

from chaos.upstream.fault import Fault
from chaos.upstream.faults import FAULTS
from chaos.upstream.journal import Call, Charge, Log, Purchase, read_log
from chaos.upstream.result import result_for
from chaos.upstream.running import Server, Step, running
from chaos.upstream.settings import KNOWN

__all__ = [
    "FAULTS",
    "KNOWN",
    "Call",
    "Charge",
    "Fault",
    "Log",
    "Purchase",
    "Server",
    "Step",
    "read_log",
    "result_for",
    "running",
]
