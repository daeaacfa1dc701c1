"""Settings about money are looked at when an instance starts, not when the first picture comes."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.core.exceptions import ImproperlyConfigured

from engine.environment import Environment
from pixian_web import settings

Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run the settings' file as a process that starts does, and return what it sets."""
    monkeypatch.setattr(Environment, "readings", Environment.readings.copy())
    monkeypatch.setattr(structlog, "configure", lambda **_: None)  # loggers keep their first one
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    def run(**env: str) -> dict[str, Any]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(settings.__file__)

    return run


@pytest.mark.parametrize(("text", "factor"), [("10", 10), ("1", 1), (" 25 ", 25), ("1000000", 1_000_000)])
def test_a_factor_is_a_whole_number_from_1(start: Start, text: str, factor: int) -> None:
    assert start(CHARGE_ALARM_FACTOR=text)["CHARGE_ALARM_FACTOR"] == factor


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "ten", "1e3", "1_0", "٣", "1000001", "9" * 5000])
def test_any_other_factor_is_refused(start: Start, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="it must be a whole number from 1 to 1000000"):
        start(CHARGE_ALARM_FACTOR=text)


def test_what_is_refused_stops_a_process(tmp_path: Path) -> None:
    env = os.environ | {"DATA_DIR": str(tmp_path), "CHARGE_ALARM_FACTOR": "0"}
    command = [sys.executable, "-c", "from pixian_web import settings"]
    started = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert started.returncode != 0
    assert "it must be a whole number from 1 to 1000000" in started.stderr


@pytest.mark.parametrize("text", ["", "one", "-1", "1e-3", "0,5"])
def test_a_price_to_hold_that_is_no_number_is_refused(start: Start, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="HOLD_CREDITS_PER_MEGAPIXEL is"):
        start(HOLD_CREDITS_PER_MEGAPIXEL=text)


@pytest.mark.parametrize("text", ["", "many", "-1", "1e3", "10,000", "9" * 20])
def test_a_first_budget_that_is_no_number_is_refused(start: Start, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="FIRST_TEAM_CREDITS is"):
        start(FIRST_TEAM_CREDITS=text)


@pytest.mark.parametrize(("text", "micro"), [(None, 1_000_000_000), ("0", 0), ("0.5", 500_000)])
def test_a_second_person_is_asked_above_a_limit(start: Start, text: str | None, micro: int) -> None:
    env = {} if text is None else {"SECOND_REVIEW_CREDITS": text}
    assert start(**env)["SECOND_REVIEW_MICROCREDITS"] == micro


@pytest.mark.parametrize("text", ["", "never", "-1", "1e3", "1,000", "9" * 20])
def test_a_limit_that_is_no_number_is_refused(start: Start, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECOND_REVIEW_CREDITS is"):
        start(SECOND_REVIEW_CREDITS=text)


ACCOUNT = {"PIXIAN_API_URL": "https://api.pixian.ai", "PIXIAN_API_ID": "px", "PIXIAN_API_SECRET": "hush"}


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
def test_the_first_budget_fits_a_machine_of_ones_own(start: Start, env: dict[str, str], micro: int) -> None:
    assert start(**env)["FIRST_TEAM_MICROCREDITS"] == micro
