"""Compare the books with what the upstream says.

Each attempt gets a verdict (``jobs.models.verdicts``, added up in ``verdicts``), and the account's balance is
followed over time (``calls``, ``periods``, ``settle``). ``manage.py reconcile`` prints all of it
(``report``).
"""

from jobs.audit.reconcile.verdicts import Books, booked, books, held, verdict
from jobs.models.verdicts import Verdict

__all__ = ["Books", "Verdict", "booked", "books", "held", "verdict"]
