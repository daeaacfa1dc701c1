"""``manage.py prepare``: set up what the processes need before they start. ``make run`` calls it."""

import os
import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from accounts.auth.login_links import login_link
from accounts.models import Team, User
from accounts.teams.create import open_team
from jobs.audit import restored
from jobs.queue import stopping
from jobs.storage import instance
from jobs.storage.files import StorageUnavailableError
from pixian_web import prepare_lock

FIRST_OWNER = "owner@localhost"
FIRST_TEAM = "My team"
PRIVATE_UMASK = 0o077


class Command(BaseCommand):
    help = (
        "Migrate, collect static files, look for a restored database, and create a first owner and team. "
        "Print their sign-in link once."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.umask(PRIVATE_UMASK)  # SQLite gives its other files the same mode as the first
        with prepare_lock.one_at_a_time():
            self._prepare()

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        self._restrict_data()
        self._establish_files()
        self._look_for_restore()
        owner = self._owner()
        self.stdout.write(f"\n  {self._sign_in_hint(owner)}\n")

    def _restrict_data(self) -> None:
        """Let only the user who runs this read the data, even if an earlier version let others."""
        folders = [
            settings.DATA_DIR,
            settings.SPOOL_ASIDE_DIR,
            settings.FILE_UPLOAD_TEMP_DIR,
            settings.MEDIA_ROOT,
        ]
        files = []
        if connection.vendor == "sqlite":
            files = [
                Path(f"{connection.settings_dict['NAME']}{suffix}")
                for suffix in ("", "-wal", "-shm", "-journal")
            ]
        for mode, paths in ((0o700, map(Path, folders)), (0o600, files)):
            for path in paths:
                self._restrict(path, mode)

    def _restrict(self, path: Path, mode: int) -> None:
        try:
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode)
        except FileNotFoundError:
            pass
        except OSError as error:
            self.stderr.write(f"  {path} stays readable to others: {error}")

    def _establish_files(self) -> None:
        try:
            instance.establish()
        except (instance.ForeignFilesError, StorageUnavailableError) as error:
            self.stderr.write(f"\n  {error}\n")

    def _look_for_restore(self) -> None:
        restored.check_prepared()
        if stopped := stopping.stopped():
            self.stderr.write(f"\n  No calls are made: {stopped.stopped_why}\n")

    def _owner(self) -> User:
        """Return the first owner, creating them and a team if there is none yet."""
        owner = User.objects.filter(is_superuser=True).order_by("-is_active", "pk").first()
        owner = owner or User.objects.create_superuser(FIRST_OWNER)
        if not Team.objects.exists():
            open_team(FIRST_TEAM, owner, settings.FIRST_TEAM_MICROCREDITS)
        return owner

    def _sign_in_hint(self, owner: User) -> str:
        """Return a sign-in link until a superuser has signed in once, and then the command that prints one.

        Under systemd the output of every start ends in the journal. More people can read that than may be
        superuser, and a link asks for no second factor.
        """
        superusers = User.objects.filter(is_superuser=True)
        if owner.is_active and not superusers.exclude(last_login=None).exists():
            return f"Sign in as {owner.email}, once, within an hour: {login_link(owner)}"
        return f"Sign in at {settings.PUBLIC_URL}. To print a link: manage.py login_link {owner.email}"
