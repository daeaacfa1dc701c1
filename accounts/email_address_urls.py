"""Ours in place of allauth's, at the same addresses."""

from django.urls import path, re_path

from accounts.views.addresses import AddressView, ConfirmAddressView

urlpatterns = [
    path("email/", AddressView.as_view(), name="account_email"),
    re_path(r"^confirm-email/(?P<key>[-:\w]+)/$", ConfirmAddressView.as_view(), name="account_confirm_email"),
]
