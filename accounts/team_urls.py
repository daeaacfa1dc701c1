"""The pages of a team's people, below its own address."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
