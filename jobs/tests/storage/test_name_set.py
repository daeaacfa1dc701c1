"""A set of names in eight bytes each."""

from jobs.storage.name_set import NameSet


def names(*numbers: int) -> list[str]:
    return [f"aurora/{number:032x}/result-1.png" for number in numbers]


def test_it_tells_which_names_it_does_not_have() -> None:
    held = NameSet(names(*range(0, 50_000, 2)))
    assert len(held) == 25_000
    assert list(held.missing(names(*range(25_000)))) == names(*range(1, 25_000, 2))


def test_it_passes_on_what_it_takes_in() -> None:
    held = NameSet()
    assert list(held.missing(names(1))) == names(1)
    assert list(held.adding(names(3, 1, 2))) == names(3, 1, 2)
    assert list(held.missing(names(1, 4))) == names(4)
    assert list(held.adding(names(4))) == names(4), "also after it was asked"
    assert list(held.missing(names(1, 4))) == []


def test_items_are_known_by_a_name_of_theirs() -> None:
    held = NameSet(["source.png"])
    tiles = ["source.png.tile.webp", "other.png.tile.webp"]
    assert list(held.missing(tiles, key=lambda name: name.rsplit(".", 2)[0])) == tiles[1:]
