"""The site's URLs."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language

from jobs.views.teams.alerts import hide
from pixian_web import metrics, views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics.page, name="metrics"),
    path("health/", views.health_page, name="health"),
    path("health/upstream/", views.upstream_health, name="upstream_health"),
    path("language/", login_not_required(set_language), name="set_language"),
    path("theme/", views.set_theme, name="set_theme"),
    path("alerts/<int:pk>/hide/", hide, name="hide_alert"),
    path("staff/", include("pixian_web.staff_urls")),
    path("admin/", admin.site.urls),
    path("accounts/", include("accounts.email_address_urls")),
    # Not allauth.urls: of its pages for other providers, accounts.urls has the two that are needed.
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("", include("jobs.api.urls")),
    path("", include("accounts.urls")),
    path("t/<slug:team>/", include("accounts.team_urls")),
    path("t/<slug:team>/", include("jobs.urls")),
]

handler500 = views.broken
handler429 = views.too_often  # allauth asks for it
