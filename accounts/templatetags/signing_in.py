"""What the pages for logging in ask about the site and its forms."""

from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def mail_leaves() -> bool:
    """Whether mails of this site reach people."""
    return bool(settings.MAIL_LEAVES)


@register.simple_tag
def signup_open() -> bool:
    return bool(settings.SIGNUP_OPEN)


@register.simple_tag
def public_url() -> str:
    return str(settings.PUBLIC_URL)


@register.filter
def plain(field: BoundField) -> SafeString:
    """The field without a placeholder, which would say its label once more and look like something typed."""
    codes = {"inputmode": "numeric"} if field.name == "code" else {}
    return field.as_widget(attrs={"placeholder": False, **codes})
