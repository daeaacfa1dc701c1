"""Validate the forms of a team's pages: its name, an invitation, a role, an allowance."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.fields import CreditsField
from accounts.models import Allowance, Membership, Role, Team, User, normalize_address
from accounts.teams import invitations

MAX_NAME = 80


class TeamForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=MAX_NAME)

    def clean_name(self) -> str:
        """Put the name on one line, since subjects of emails contain it."""
        name = "".join(c if c.isprintable() else " " for c in self.cleaned_data["name"])
        if not name.strip():
            raise forms.ValidationError(_("Give the team a name."))
        return " ".join(name.split())


class RoleForm(forms.Form):
    """A choice among the given roles."""

    def __init__(self, roles: Iterable[Role], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"] = forms.TypedChoiceField(
            label=gettext_lazy("Role"),
            choices=[(role.value, role.label) for role in roles],
            coerce=lambda value: Role(int(value)),
            initial=Role.MEMBER.value,
        )


class InviteForm(RoleForm):
    """An invitation to a team, by a member whose role is ``inviter``."""

    email = forms.EmailField(label=gettext_lazy("Email"), max_length=254)

    def __init__(self, team: Team, inviter: int, *args: Any, **options: Any) -> None:
        super().__init__(invitations.roles(inviter), *args, **options)
        self.team = team

    def clean_email(self) -> str:
        email = normalize_address(self.cleaned_data["email"])
        validate_email(email)
        if Membership.objects.filter(team=self.team, user__email=email).exists():
            raise forms.ValidationError(_("%(email)s is already in the team."), params={"email": email})
        return email


class AllowanceForm(forms.Form):
    """The amount a member or key may spend; ``credits`` is cleaned to micro-credits."""

    credits = CreditsField(
        label=gettext_lazy("Credits"),
        min_value=0,
        help_text=gettext_lazy("Up to six decimals. 0 means no spending at all."),
    )
    period = forms.ChoiceField(label=gettext_lazy("Per"), choices=Allowance.Period.choices)
    warn_percent = forms.IntegerField(
        label=gettext_lazy("Warn at (percent)"),
        min_value=1,
        max_value=100,
        # A text field, as for the credits: a number field turns "8,5" into 85.
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
        help_text=gettext_lazy("Once this much is used, a warning appears beside the allowance."),
    )


class NewPersonForm(forms.Form):
    """The account of an invited person who has none yet."""

    name = forms.CharField(label=gettext_lazy("Your name"), max_length=150)
    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html,
    )
    name.widget.attrs["autocomplete"] = "name"

    def __init__(self, email: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.email = email

    def clean(self) -> None:
        """Validate the password, also against the name and the address."""
        super().clean()
        user = User(email=self.email, first_name=self.cleaned_data.get("name", ""))
        if password := self.cleaned_data.get("password"):
            try:
                password_validation.validate_password(password, user)
            except forms.ValidationError as error:
                self.add_error("password", error)
