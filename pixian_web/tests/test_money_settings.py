"""Settings about money are looked at when an instance starts, not when the first picture comes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = "from pixian_web import settings; print(settings.CHARGE_ALARM_FACTOR)"


def start(data_dir: Path, print_: str = SETTINGS, **env: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"DATA_DIR": str(data_dir)} | env
    return subprocess.run(
        [sys.executable, "-c", print_], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("text", "factor"), [("10", 10), ("1", 1), (" 25 ", 25), ("1000000", 1_000_000)])
def test_a_factor_is_a_whole_number_from_1(tmp_path: Path, text: str, factor: int) -> None:
    assert start(tmp_path, CHARGE_ALARM_FACTOR=text).stdout.strip() == str(factor)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "ten", "1e3", "1_0", "٣", "1000001", "9" * 5000])
def test_any_other_factor_is_refused(tmp_path: Path, text: str) -> None:
    started = start(tmp_path, CHARGE_ALARM_FACTOR=text)
    assert started.returncode != 0
    assert "it must be a whole number from 1 to 1000000" in started.stderr


@pytest.mark.parametrize("text", ["", "one", "-1", "1e-3", "0,5"])
def test_a_price_to_hold_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    started = start(tmp_path, HOLD_CREDITS_PER_MEGAPIXEL=text)
    assert started.returncode != 0
    assert "HOLD_CREDITS_PER_MEGAPIXEL is" in started.stderr


@pytest.mark.parametrize("text", ["", "many", "-1", "1e3", "10,000", "9" * 20])
def test_a_first_budget_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    started = start(tmp_path, FIRST_TEAM_CREDITS=text)
    assert started.returncode != 0
    assert "FIRST_TEAM_CREDITS is" in started.stderr


SECOND = "from pixian_web import settings; print(settings.SECOND_REVIEW_MICROCREDITS)"


@pytest.mark.parametrize(("text", "micro"), [(None, 1_000_000_000), ("0", 0), ("0.5", 500_000)])
def test_a_second_person_is_asked_above_a_limit(tmp_path: Path, text: str | None, micro: int) -> None:
    env = {} if text is None else {"SECOND_REVIEW_CREDITS": text}
    assert start(tmp_path, SECOND, **env).stdout.strip() == str(micro)


@pytest.mark.parametrize("text", ["", "never", "-1", "1e3", "1,000", "9" * 20])
def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    started = start(tmp_path, SECOND, SECOND_REVIEW_CREDITS=text)
    assert started.returncode != 0
    assert "SECOND_REVIEW_CREDITS is" in started.stderr


ACCOUNT = {"PIXIAN_API_URL": "https://api.pixian.ai", "PIXIAN_API_ID": "px", "PIXIAN_API_SECRET": "hush"}
BUDGET = "from pixian_web import settings; print(settings.FIRST_TEAM_MICROCREDITS)"


@pytest.mark.parametrize(
    ("env", "micro"),
    [
        ({}, 10_000_000_000),
        ({"FIRST_TEAM_CREDITS": "12.5"}, 12_500_000),
        (ACCOUNT, 0),
        (ACCOUNT | {"FIRST_TEAM_CREDITS": "250"}, 250_000_000),
    ],
    ids=["embedded", "embedded, set", "an account", "an account, set"],
)
def test_the_first_budget_fits_a_machine_of_ones_own(tmp_path: Path, env: dict[str, str], micro: int) -> None:
    assert start(tmp_path, BUDGET, **env).stdout.strip() == str(micro)
