"""Tell the sign-in pages about the site's settings and forms."""

from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def mail_leaves() -> bool:
    """Return True if this site's emails reach people."""
    return bool(settings.MAIL_LEAVES)


@register.simple_tag
def signup_open() -> bool:
    return bool(settings.SIGNUP_OPEN)


@register.simple_tag
def public_url() -> str:
    return str(settings.PUBLIC_URL)


@register.filter
def plain(field: BoundField) -> SafeString:
    """Render a field without its placeholder, which repeats the label and looks like typed text."""
    codes = {"inputmode": "numeric"} if field.name == "code" else {}
    return field.as_widget(attrs={"placeholder": False, **codes})
