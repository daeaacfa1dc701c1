"""Tell the login pages about the site, and render their fields."""

from allauth.socialaccount.models import SocialAccount
from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.safestring import SafeString

from accounts.models import User

register = template.Library()


@register.simple_tag
def mail_leaves() -> bool:
    """Return True if this site can send mail."""
    return bool(settings.MAIL_LEAVES)


@register.simple_tag
def signup_open() -> bool:
    return bool(settings.SIGNUP_OPEN)


@register.simple_tag
def public_url() -> str:
    return str(settings.PUBLIC_URL)


@register.simple_tag
def identity_provider() -> str:
    """Return the name of the provider that people can sign in through; empty if there is none."""
    return str(settings.OIDC_NAME)


@register.filter
def is_connected(user: User) -> bool:
    """Return True if the user can sign in through the identity provider."""
    return bool(SocialAccount.objects.filter(user=user, provider=settings.OIDC_ISSUER).exists())


@register.filter
def plain(field: BoundField) -> SafeString:
    """Render a field without a placeholder, which would repeat the label and look like typed text."""
    codes = {"inputmode": "numeric"} if field.name == "code" else {}
    return field.as_widget(attrs={"placeholder": False, **codes})
