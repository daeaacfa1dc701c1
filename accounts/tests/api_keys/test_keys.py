"""Verify a key's credentials and record its use, in as few statements as can be."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.api_keys import keys
from accounts.api_keys.keys import IdUnknownError, SecretWrongError
from accounts.models import ApiKey
from accounts.tests.statements import assert_statements
from conftest import World

pytestmark = pytest.mark.both_databases


def test_a_key_is_found_in_one_statement_and_its_use_recorded_once_a_minute(world: World) -> None:
    _, credentials = keys.create(world.team, world.bob, "shop")
    for statements in (1, 0):
        with assert_statements(1):
            key = keys.find(credentials.api_id, credentials.api_secret)
            assert (key.team, key.owner) == (world.team, world.bob)
        with assert_statements(statements):
            keys.note_use(key)
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=1))
    with assert_statements(2):
        keys.note_use(keys.find(credentials.api_id, credentials.api_secret))


def test_other_credentials_find_nothing(world: World) -> None:
    _, credentials = keys.create(world.team, world.bob, "shop")
    with assert_statements(1), pytest.raises(SecretWrongError):
        keys.find(credentials.api_id, credentials.api_secret[::-1])
    with assert_statements(1), pytest.raises(IdUnknownError):
        keys.find(credentials.api_id[::-1], credentials.api_secret)
