from django.urls import path

from accounts import views

urlpatterns = [
    path("", views.home, name="home"),
    path("in/<str:number>/<str:token>/", views.login_link, name="login_link"),
]
