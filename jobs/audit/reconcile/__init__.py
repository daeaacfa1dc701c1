"""The books against what the upstream says: each attempt (``verdicts``), and the account's balance over time
(``calls``, ``periods``, ``settle``). ``manage.py reconcile`` prints all of it (``report``)."""

from jobs.audit.reconcile.verdicts import Books, Verdict, booked, books, held, verdict

__all__ = ["Books", "Verdict", "booked", "books", "held", "verdict"]
