from django.apps import AppConfig
from django.db.models.signals import post_migrate

from jobs.search import name_index


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        post_migrate.connect(name_index.create_after_migrate, sender=self)
