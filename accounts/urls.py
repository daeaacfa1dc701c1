from django.urls import path

from accounts.views import coming

urlpatterns = [
    path("", coming.home, name="home"),
    path("in/<str:number>/<str:token>/", coming.login_link, name="login_link"),
]
