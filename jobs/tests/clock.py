"""A clock that a test moves on by itself, for all that asks Django's."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone


class Clock:
    """Is a minute ahead, so that what a row's default takes from the real time lies before it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._now = timezone.now() + timedelta(minutes=1)
        patch.setattr(timezone, "now", lambda: self._now)

    def pass_by(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    @property
    def now(self) -> datetime:
        return self._now
