from django.apps import AppConfig


class PixianWebConfig(AppConfig):
    name = "pixian_web"
