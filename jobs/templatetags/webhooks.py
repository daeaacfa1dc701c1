"""Give a delivery's state a tone."""

from django import template

from jobs.models import Delivery

register = template.Library()


@register.filter
def delivery_tone(delivery: Delivery) -> str:
    """Return the colour and icon of a delivery: a failed try isn't the end of it."""
    if delivery.state == Delivery.State.WAITING:
        return "doubt" if delivery.tries else "wait"
    return "ok" if delivery.state == Delivery.State.DELIVERED else "fail"
