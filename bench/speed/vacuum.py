"""Bring a freshly filled database to the state in which one of years is."""

from django.db import connection


def vacuum() -> None:
    """Vacuum and analyse PostgreSQL's tables, which it does by itself in a while: amid a measurement."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
