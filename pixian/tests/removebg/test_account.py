import json

import pytest

from pixian.removebg.account import account


@pytest.mark.parametrize(
    ("microcredits", "written"),
    [
        (0, "0"),
        (100_000_000, "100"),  # not 100.0, which some clients can't read
        (250_000, "0.25"),
        (1, "1e-06"),
        (99_999_999, "99.999999"),
        (123_456_789_123_456, "123456789.123456"),
        (-2_500_000, "-2.5"),
        (-1_000_000, "-1"),
    ],
)
def test_a_balance_is_told_in_credits(microcredits: int, written: str) -> None:
    attributes = account(microcredits)["data"]["attributes"]
    assert json.dumps(attributes["credits"]["total"]) == written
    assert attributes["credits"]["payg"] == attributes["credits"]["total"]
    assert set(attributes["credits"]) == {"total", "subscription", "payg", "enterprise"}
    assert attributes["api"] == {"free_calls": 0, "sizes": "all"}
