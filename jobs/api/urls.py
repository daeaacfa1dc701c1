"""The API's URLs, at the root of the site as they are at the vendors'."""

from django.urls import include, path, re_path

from jobs.api import decorators, pixian, removebg
from jobs.api.openapi import document, page
from jobs.api.rest import api

urlpatterns = [
    path("api/v2/remove-background", pixian.remove_background, name="api_remove_background"),
    path("api/v1/remove-background", pixian.remove_background_v1, name="api_remove_background_v1"),
    path("api/v2/account", pixian.account, name="api_account"),
    path("v1.0/removebg", removebg.remove_background, name="drop_in_remove_background"),
    path("v1.0/account", removebg.account, name="drop_in_account"),
    re_path(r"^v1\.0/", removebg.not_found, name="drop_in_nothing"),
    re_path(r"^api/v2/", decorators.not_found, name="api_nothing"),
    path("api/", include(api.urls())),
    path("api/openapi.json", document.openapi_json, name="openapi_json"),
    path("api/docs", page.docs, name="api_docs"),
    re_path(r"^api(?:/|$)", decorators.not_found, name="rest_nothing"),
]
