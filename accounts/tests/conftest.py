from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django import Settings

from accounts.tests.mailbox import DEAD_SERVER


@pytest.fixture(autouse=True)
def _nothing_guessed_so_far() -> Iterator[None]:
    """Limits are counted in the cache, which outlives a test."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def mail_server_down(settings: Settings) -> None:
    if hasattr(settings, "MAILERS"):  # since Django 6.1
        settings.MAILERS = {"default": {"BACKEND": DEAD_SERVER}}
    else:
        settings.EMAIL_BACKEND = DEAD_SERVER
