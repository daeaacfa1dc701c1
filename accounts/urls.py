from django.urls import path

from accounts.views import coming, identity_provider, joining, opening

urlpatterns = [
    path("", coming.home, name="home"),
    path("in/<str:number>/<str:token>/", coming.login_link, name="login_link"),
    path("accounts/oidc/login/", identity_provider.begin, name="oidc_login"),
    path("accounts/oidc/callback/", identity_provider.callback, name="oidc_callback"),
    path("accounts/oidc/disconnect/", identity_provider.disconnect, name="oidc_disconnect"),
    path("join/<str:token>/", joining.join, name="join"),
    path("teams/new/", opening.open_team, name="open_team"),
]
