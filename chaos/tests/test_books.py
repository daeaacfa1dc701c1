"""E10 in its short form, on SQLite: four faults among thousands of charges are found and explained."""

import pytest

from bench.speed.books_rows import charge, charges_until
from chaos.tests.played import Play


@pytest.mark.timeout(300)
def test_four_faults_are_found_each_once_and_settled(play: Play) -> None:
    books = play("books", "--database", "sqlite", "--attempts", 5000, seconds=280)
    assert books["failures"] == 0, books.output
    assert (books["attempts"], books["faults"]) == (5000, 4)
    assert books["control"] == 1, "the verdicts by the headers see them too"
    assert books["at once"] == 1, "one comparison over all of the time sees them too"
    assert books.code == 0


def test_the_charges_of_many_are_those_of_each() -> None:
    assert [charges_until(n) for n in range(40)] == [sum(map(charge, range(1, n + 1))) for n in range(40)]
