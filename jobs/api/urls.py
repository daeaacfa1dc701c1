"""Addresses for programs, at the root of the site as they are at the vendors'."""

from django.urls import path, re_path

from jobs.api import face, gateway

urlpatterns = [
    path("api/v2/remove-background", gateway.remove_background, name="api_remove_background"),
    path("api/v2/account", gateway.account, name="api_account"),
    re_path(r"^api/v2/", face.nothing_here, name="api_nothing"),
]
