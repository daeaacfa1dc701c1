"""The form of a webhook: where it is, and what it is told."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from jobs.events import webhooks
from jobs.models import EventKind, Webhook
from pixian.protocol.errors import Refused
from pixian.protocol.text import is_storable

MAX_LENGTH = Webhook._meta.get_field("url").max_length


class WebhookForm(forms.Form):
    url = forms.CharField(
        label=_("Address"),
        max_length=MAX_LENGTH,
        widget=forms.URLInput(attrs={"placeholder": "https://", "autocomplete": "off"}),
        help_text=_("Of your program. It gets a POST for each event."),
    )
    events = forms.MultipleChoiceField(
        label=_("Tell it when"),
        choices=EventKind,
        widget=forms.CheckboxSelectMultiple,
        initial=[EventKind.JOB_FINISHED, EventKind.BATCH_FINISHED],
    )

    def clean_url(self) -> str:
        """Refuse what no request would be made to. Where its name leads is looked at with each request."""
        url: str = self.cleaned_data["url"]
        try:
            webhooks.fetcher().check(url)
        except Refused as error:
            raise ValidationError(
                _("Enter the address of a web server, such as https://example.com/hook, on a usual port.")
            ) from error
        if not (is_storable(url) and url.isprintable()):
            raise ValidationError(_("This address has characters that can't be sent."))
        return url


def form_of(webhook: Webhook, data: Any = None) -> WebhookForm:
    """Return the form of a webhook as it is."""
    return WebhookForm(data, initial={"url": webhook.url, "events": webhook.events})
