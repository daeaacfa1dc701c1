import pytest
from pytest_django import Settings

from accounts.models import Membership, Role, User
from accounts.tests.auth.mailbox import DEAD_SERVER
from conftest import World


def mail_by(settings: Settings, backend: str) -> None:
    if hasattr(settings, "MAILERS"):  # since Django 6.1
        settings.MAILERS = {"default": {"BACKEND": backend}}
    else:
        settings.EMAIL_BACKEND = backend


@pytest.fixture
def mail_server_down(settings: Settings) -> None:
    mail_by(settings, DEAD_SERVER)


@pytest.fixture
def mail_is_printed(settings: Settings) -> None:
    mail_by(settings, "django.core.mail.backends.console.EmailBackend")


@pytest.fixture
def mona(world: World) -> User:
    """Return a manager."""
    user = User.objects.create_user("mona@example.org", first_name="Mona", last_name="Manager")
    Membership.objects.create(team=world.team, user=user, role=Role.MANAGER)
    return user
