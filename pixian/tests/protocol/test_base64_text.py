"""Base64 in each form that clients write it, and what is none."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.protocol.base64_text import decode


@given(st.binary(max_size=2000), st.sampled_from([64, 76]), st.booleans(), st.booleans())
def test_what_is_written_is_read(data: bytes, width: int, safe: bool, padded: bool) -> None:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    assert (
        decode(text)
        == decode(f"\t{text}\n")
        == decode("\r\n".join(lines))
        == decode("\n\t".join(lines))
        == data
    )


@pytest.mark.parametrize("seed", range(50))
def test_spaces_are_read_by_what_they_stand_for(seed: int) -> None:
    """Lines that a shell has joined, and plus signs that a client forgot to escape."""
    data = random.Random(seed).randbytes(3000 + seed)
    text = base64.b64encode(data).decode()
    assert decode(" ".join(text[at : at + 76] for at in range(0, len(text), 76))) == data
    assert decode(text.replace("+", " ")) == data


@pytest.mark.parametrize("text", ["A", "AAAAA", "A=AA", "=A", "!!!", "a.b", "é", "data:x", "AA\0A", "\ud800"])
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(text)
