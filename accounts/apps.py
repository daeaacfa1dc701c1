from django.apps import AppConfig
from django.db.models.signals import post_migrate

from accounts import immutable


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        post_migrate.connect(immutable.guard_after_migrate, sender=self)
