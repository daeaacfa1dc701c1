from django.urls import path

from accounts.views import coming, joining, opening

urlpatterns = [
    path("", coming.home, name="home"),
    path("in/<str:number>/<str:token>/", coming.login_link, name="login_link"),
    path("join/<str:token>/", joining.join, name="join"),
    path("teams/new/", opening.open_team, name="open_team"),
]
