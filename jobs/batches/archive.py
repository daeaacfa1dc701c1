"""Write a ZIP whose members are known before they are written: stored as they are, in a fixed order.

zipstream-ng makes the records. Its own members have the present time, and say their size and checksum only
after their content. Here both come first: the same members always make the same bytes, and a download can
begin at any of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from zipstream import ZipStream, ZipStreamInfo

SOME_DAY = (1980, 1, 1, 0, 0, 0)  # the first that the format can state
READABLE_BY_ALL = 0o100644 << 16


@dataclass(frozen=True)
class Member:
    """A file of a ZIP. name: with its folders. crc32: of the content."""

    name: str
    size: int
    crc32: int


class Archive(ZipStream):  # type: ignore[misc]
    """A ZIP in the making.

    Its caller writes what ``begin`` returns and the member's content, for each member, and then ``end``.
    """

    def begin(self, member: Member) -> bytes:
        """Return the header of the next member, whose content has to follow."""
        info = ZipStreamInfo(member.name, SOME_DAY)
        info.external_attr = READABLE_BY_ALL
        info.file_size = info.compress_size = member.size
        info.CRC = member.crc32
        info.header_offset = self._pos
        header = cast("bytes", info.FileHeader(zip64=False))  # no picture has 4 GiB
        self._pos += len(header) + member.size
        self._filelist.append(info)
        return header

    def end(self) -> bytes:
        """Return the central directory, which ends the ZIP."""
        return b"".join(self.footer())


@dataclass(frozen=True)
class Part:
    """A part of a ZIP from a position on: bytes that are at hand, or a member's content, by its place."""

    start: int
    size: int
    record: bytes | None = None
    member: int = -1

    @property
    def stop(self) -> int:
        return self.start + self.size


def layout(members: Sequence[Member]) -> list[Part]:
    """Return all parts of a ZIP in their order; the last one stops where the ZIP does."""
    archive, parts, position = Archive(), list[Part](), 0

    def add(size: int, record: bytes | None = None, member: int = -1) -> None:
        nonlocal position
        parts.append(Part(position, size, record, member))
        position += size

    for place, member in enumerate(members):
        header = archive.begin(member)
        add(len(header), header)
        add(member.size, member=place)
    end = archive.end()
    add(len(end), end)
    return parts


def between(parts: Sequence[Part], first: int, stop: int) -> Iterator[tuple[Part, slice]]:
    """Yield the parts that have bytes from ``first`` to before ``stop``, with what each has of them."""
    for part in parts:
        if part.start < stop and part.stop > first:
            yield part, slice(max(0, first - part.start), min(part.size, stop - part.start))
