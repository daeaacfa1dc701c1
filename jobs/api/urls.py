"""Addresses for programs, at the root of the site as they are at the vendors'."""

from django.urls import include, path, re_path

from jobs.api import drop_in, face, gateway, openapi, openapi_page, rest

urlpatterns = [
    path("api/v2/remove-background", gateway.remove_background, name="api_remove_background"),
    path("api/v1/remove-background", gateway.remove_background_v1, name="api_remove_background_v1"),
    path("api/v2/account", gateway.account, name="api_account"),
    path("v1.0/removebg", drop_in.remove_background, name="drop_in_remove_background"),
    path("v1.0/account", drop_in.account, name="drop_in_account"),
    re_path(r"^v1\.0/", drop_in.nothing_here, name="drop_in_nothing"),
    re_path(r"^api/v2/", face.nothing_here, name="api_nothing"),
    path("api/", include(rest.urls())),
    path("api/openapi.json", openapi.openapi_json, name="openapi_json"),
    path("api/docs", openapi_page.docs, name="api_docs"),
    re_path(r"^api(?:/|$)", face.nothing_here, name="rest_nothing"),
]
