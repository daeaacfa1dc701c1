from django.db import migrations
from django.db.models import F


def know_addresses(apps, _editor):
    """Give every account a row for the address it logs in with. Only staff's are known to be theirs."""
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    known = EmailAddress.objects.filter(email=F("user__email")).values("user_id")
    for user in User.objects.exclude(pk__in=known).iterator():
        is_first = not EmailAddress.objects.filter(user=user, primary=True).exists()
        EmailAddress.objects.create(user=user, email=user.email, primary=is_first)
    for address in EmailAddress.objects.filter(email=F("user__email"), user__is_staff=True, verified=False):
        if not EmailAddress.objects.filter(email=address.email, verified=True).exists():
            EmailAddress.objects.filter(pk=address.pk).update(verified=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_hashed_rates"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [migrations.RunPython(know_addresses, migrations.RunPython.noop)]
