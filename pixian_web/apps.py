from django.apps import AppConfig

from pixian_web import connections


class PixianWebConfig(AppConfig):
    name = "pixian_web"

    def ready(self) -> None:
        connections.forget_in_children()
