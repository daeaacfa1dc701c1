"""A thread's connection to the database, which it has only for as long as it talks to it."""

from django.db import InterfaceError, OperationalError, connections

DATABASE_AWAY = (OperationalError, InterfaceError)
"""The database doesn't answer, or breaks off. Every other DatabaseError is a fault of ours."""


def give_back() -> None:
    """Return this thread's connections to the pool.

    A thread does so before it waits for anything but the database: another thread, the upstream, or a
    client that reads or writes slowly. Others need the connections meanwhile, perhaps those it waits for.
    Inside a transaction nothing is given back, and SQLite's connections stay open.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
