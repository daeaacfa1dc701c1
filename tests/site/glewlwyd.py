"""Debian's identity provider, Glewlwyd, as a private server for tests; see ``chaos.servers``.

It speaks OpenID Connect, with PKCE required, and has a sign-in page of its own. Its people have a password,
groups, and an address that is verified.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from chaos.servers import NotStartedError, Server, free_port, server_folder

TABLES = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
PAGES = Path("/usr/share/glewlwyd/webapp")
PAGES_CONFIG = Path("/usr/share/glewlwyd/templates/config.json")
ADMINISTRATOR = {"username": "admin", "password": "password"}
CLIENT_ID, CLIENT_SECRET = "pixian-web", "a secret of the tests"
PASSWORD = "correct horse"

# It refuses to start without the two files, though it listens without TLS.
CONFIG = """
port = {port}
bind_address = "127.0.0.1"
external_url = "http://127.0.0.1:{port}"
login_url = "login.html"
api_prefix = "api"
static_files_path = "{folder}/pages/"
static_files_mime_types = (
  {{ extension = ".html" mime_type = "text/html" }},
  {{ extension = ".css" mime_type = "text/css" }},
  {{ extension = ".js" mime_type = "application/javascript" }},
  {{ extension = ".json" mime_type = "application/json" }}
)
log_mode = "console"
log_level = "INFO"
cookie_secure = 0
admin_scope = "g_admin"
profile_scope = "g_profile"
session_key = "GLEWLWYD2_SESSION_ID"
user_module_path = "/usr/lib/glewlwyd/user"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
use_secure_connection = false
secure_connection_key_file = "none"
secure_connection_pem_file = "none"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3" path = "{folder}/glewlwyd.db" }}
"""

PERSON = {"multiple": False, "read": True, "write": True, "profile-read": True, "profile-write": False}
CLAIMS = [
    {"name": "groups", "user-property": "groups", "type": "string", "mandatory": True},
    {
        "name": "email_verified",
        "user-property": "email_verified",
        "type": "boolean",
        "boolean-value-true": "yes",
        "boolean-value-false": "no",
        "mandatory": True,
    },
]
PLUGIN = {
    "jwt-type": "sha",
    "jwt-key-size": "256",
    "key": "signs the ID tokens",
    "subject-type": "public",
    "access-token-duration": 3600,
    "refresh-token-duration": 3600,
    "code-duration": 600,
    "allowed-scope": ["openid"],
    "auth-type-code-enabled": True,
    "auth-type-id-token-enabled": True,
    "pkce-allowed": True,
    "pkce-required": True,
    "name-claim": "mandatory",
    "email-claim": "mandatory",
    "claims": CLAIMS,
    **dict.fromkeys(
        (
            "allow-non-oidc",
            "auth-type-client-enabled",
            "auth-type-none-enabled",
            "auth-type-password-enabled",
            "auth-type-refresh-enabled",
            "auth-type-token-enabled",
            "jwks-show",
            "pkce-method-plain-allowed",
            "refresh-token-rolling",
        ),
        False,
    ),
}


class Glewlwyd(Server):
    """An identity provider for one site."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/api/oidc"

    def register(self, callback: str) -> None:
        """Let a site sign people in, who come back to its callback."""
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "name": "Pixian Web",
            "enabled": True,
            "confidential": True,
            "redirect_uri": [callback],
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
            "scope": [],
        }
        with self._administration() as api:
            _done(api.post("client/", json=client))

    def add_person(self, name: str, *groups: str) -> None:
        """Add a person, whose address is ``NAME@example.org``."""
        with self._administration() as api:
            _done(api.post("user/", json=self._person(name, groups) | {"password": PASSWORD}))

    def move_person(self, name: str, *groups: str) -> None:
        """Put a person into these groups instead of those they were in."""
        with self._administration() as api:
            _done(api.put(f"user/{name}", json=self._person(name, groups)))

    def set_up(self) -> None:
        """Turn OpenID Connect on, and give its people groups."""
        with self._administration() as api:
            plugin = {"module": "oidc", "name": "oidc", "display_name": "OpenID Connect"}
            _done(api.post("mod/plugin/", json=plugin | {"parameters": PLUGIN | {"iss": self.issuer}}))
            people = api.get("mod/user/database").json()
            formats = {"groups": PERSON | {"multiple": True}, "email_verified": PERSON}
            people["parameters"]["data-format"] |= formats
            _done(api.put("mod/user/database", json=people))
            _done(api.put("mod/user/database/reset"))

    @contextmanager
    def _administration(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=f"{self.url}/api/", trust_env=False) as api:
            _done(api.post("auth/", json=ADMINISTRATOR))
            yield api

    def _person(self, name: str, groups: tuple[str, ...]) -> dict[str, Any]:
        return {
            "username": name,
            "name": f"{name.capitalize()} Duval",
            "email": f"{name}@example.org",
            "scope": ["openid"],
            "enabled": True,
            "groups": list(groups),
            "email_verified": "yes",
        }

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/config", timeout=2, trust_env=False).is_success
        return False


def glewlwyd_lacks() -> str | None:
    """Say in one sentence why Glewlwyd can't be started here; None if it can."""
    if shutil.which("glewlwyd") and TABLES.exists():
        return None
    return "Glewlwyd isn't installed (`make servers` installs it)."


@contextmanager
def glewlwyd() -> Iterator[Glewlwyd]:
    """Run a Glewlwyd without people; raises NotStartedError."""
    if lacks := glewlwyd_lacks():
        raise NotStartedError(lacks)
    with server_folder(None) as folder:
        port = free_port()
        with closing(sqlite3.connect(folder / "glewlwyd.db")) as database:
            database.executescript(TABLES.read_text())
        # It serves no link that leads out of its pages' folder, and Debian links its scripts.
        shutil.copytree(PAGES, folder / "pages", ignore=shutil.ignore_patterns("config.json", "fonts"))
        shutil.copy(PAGES_CONFIG, folder / "pages/config.json")
        (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
        with Glewlwyd(folder, port, ["glewlwyd", f"--config-file={folder}/config"]) as server:
            server.set_up()
            yield server


def _done(response: httpx.Response) -> None:
    if not response.is_success:
        raise NotStartedError(f"Glewlwyd refused {response.request.url.path}: {response.text}")
