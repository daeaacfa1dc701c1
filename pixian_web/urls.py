"""The site's URLs."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language

from pixian_web import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("health/", views.health_page, name="health"),
    path("language/", login_not_required(set_language), name="set_language"),
    path("theme/", views.set_theme, name="set_theme"),
    path("admin/", admin.site.urls),
    path("accounts/", include("accounts.email_address_urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("jobs.api.urls")),
    path("", include("accounts.urls")),
    path("t/<slug:team>/", include("accounts.team_urls")),
    path("t/<slug:team>/", include("jobs.urls")),
]

handler500 = views.broken
handler429 = views.too_often  # allauth asks for it
