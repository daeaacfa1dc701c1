"""Ours in place of allauth's, at the same addresses, and one beside them."""

from django.urls import path, re_path

from accounts.views.addresses import AddressView, ConfirmAddressView
from accounts.views.deletion import delete_account

urlpatterns = [
    path("delete/", delete_account, name="delete_account"),
    path("email/", AddressView.as_view(), name="account_email"),
    re_path(r"^confirm-email/(?P<key>[-:\w]+)/$", ConfirmAddressView.as_view(), name="account_confirm_email"),
]
