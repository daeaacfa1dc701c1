from django.apps import AppConfig
from django.db.models.signals import post_migrate

from accounts.ledger import triggers


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        post_migrate.connect(triggers.guard_after_migrate, sender=self)
