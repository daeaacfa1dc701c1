import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.errors import Code, Refused
from pixian.options import Options


def test_the_defaults_need_no_fields() -> None:
    assert Options.parse({}) == Options()
    assert Options().form() == {}


@pytest.mark.parametrize("text", ["true", "True", "TRUE", " true "])
def test_booleans_are_read_in_any_case(text: str) -> None:
    assert Options.parse({"test": text}).test


def test_empty_is_absent_and_unknown_is_ignored() -> None:
    assert Options.parse({"test": "", "max_pixels": "", "colour": "green"}) == Options()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test", "yes"),
        ("max_pixels", "99"),
        ("max_pixels", "25000001"),
        ("max_pixels", "1e6"),
        ("max_pixels", "٣"),
    ],
)
def test_what_is_not_allowed_is_named(name: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        Options.parse({name: value})
    assert (caught.value.status, caught.value.code) == (400, Code.BAD_PARAMETER)
    assert name in caught.value.message


@given(st.builds(Options, max_pixels=st.integers(100, 25_000_000), test=st.booleans()))
def test_what_the_client_writes_the_server_reads(options: Options) -> None:
    assert Options.parse(options.form()) == options
