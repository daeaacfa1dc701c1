"""Tell the login pages about the site, and render their fields."""

from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.safestring import SafeString

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


@register.filter
def plain(field: BoundField) -> SafeString:
    """Render a field without a placeholder, which would repeat the label and look like typed text."""
    codes = {"inputmode": "numeric"} if field.name == "code" else {}
    return field.as_widget(attrs={"placeholder": False, **codes})
