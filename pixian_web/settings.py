"""Every setting of the product, from the environment or ``.env``; README lists them for operators."""

from pathlib import Path

import django
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _

from engine.config import Config as EngineConfig
from pixian.client import ramp_up
from pixian.protocol.credentials import load_or_create_secret
from pixian_web import connections, logs, mail, oidc, public_url
from pixian_web.env import SiteEnvironment, improperly_configured

LEAST_TOKEN = 16

BASE_DIR = Path(__file__).resolve().parent.parent
with improperly_configured():
    engine_config = EngineConfig.from_env(BASE_DIR / ".env")  # which puts the file into the environment
env = SiteEnvironment()

# Where things are ---------------------------------------------------------------------------------

DATA_DIR = engine_config.data_dir
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)  # before anything is kept in it
BIND_ADDRESS = env.address("BIND_ADDRESS", "127.0.0.1")
PORT = env.integer("PORT", 8000, low=1, high=65535)
DEBUG = env.boolean("DEBUG", default=False)
LOG_LEVEL = env.log_level("LOG_LEVEL", "INFO")

SECRET_KEY = env.secret("SECRET_KEY") or load_or_create_secret(DATA_DIR / "secret-key", get_random_secret_key)

with improperly_configured():
    _public = public_url.parse(env.text("PUBLIC_URL", f"http://127.0.0.1:{PORT}"))
PUBLIC_URL = _public.origin
ALLOWED_HOSTS = [_public.host, "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_FAILURE_VIEW = "pixian_web.views.csrf_failure"
BEHIND_HTTPS = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_HTTPS else None
SECURE_SSL_REDIRECT = env.boolean("HTTPS_REDIRECT", default=BEHIND_HTTPS)
SECURE_SSL_HOST = _public.netloc
# A redirect would lose an API call's body, and probes come over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$", r"^api/", r"^v1\.0/"]
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 30 * 24 * 60 * 60 if BEHIND_HTTPS else 0)
# Other hosts of this domain aren't ours to decide about, and browsers preload whole domains.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 1 if BEHIND_HTTPS else 0)
"""The number of addresses that our own proxies append to X-Forwarded-For; see accounts.auth.client_ip."""

# Browsers keep cookies by host and not by port, so instances on one host would sign each other's users out.
# The port is the one that users see: several web processes behind one proxy share its cookies.
SESSION_COOKIE_NAME = f"session-{_public.effective_port}"
CSRF_COOKIE_NAME = f"csrf-{_public.effective_port}"
CSRF_COOKIE_HTTPONLY = True  # scripts read the token from their form
SESSION_ENGINE = "accounts.auth.sessions"

# The upstream -------------------------------------------------------------------------------------

PIXIAN_API_URL = env.url("PIXIAN_API_URL", "embedded", "https", "http")
PIXIAN_EMBEDDED = PIXIAN_API_URL == "embedded"
PIXIAN_SOCKET = None
PIXIAN_API_ID = env.identifier("PIXIAN_API_ID")
PIXIAN_API_SECRET = env.secret("PIXIAN_API_SECRET")
if PIXIAN_EMBEDDED:
    with improperly_configured():
        PIXIAN_SOCKET = engine_config.socket
        PIXIAN_API_ID = engine_config.credentials.api_id
        PIXIAN_API_SECRET = engine_config.credentials.api_secret
elif not (PIXIAN_API_ID and PIXIAN_API_SECRET):
    raise ImproperlyConfigured("PIXIAN_API_URL is set, so PIXIAN_API_ID and PIXIAN_API_SECRET are needed too")

HOLD_MICROCREDITS_PER_MEGAPIXEL = env.microcredits("HOLD_CREDITS_PER_MEGAPIXEL", "1")
"""At least so much is held for a megapixel before a call; the embedded engine charges 1 credit by default."""

FIRST_TEAM_MICROCREDITS = env.microcredits("FIRST_TEAM_CREDITS", "10000" if PIXIAN_EMBEDDED else "0")
"""The first team of a new installation begins with so much; at an account credits are money, so with none."""

CHARGE_ALARM_FACTOR = env.integer("CHARGE_ALARM_FACTOR", 10, low=1, high=1_000_000)
"""A charge above so many times its hold, and above one credit, isn't believed: a person looks first."""

SECOND_REVIEW_MICROCREDITS = env.microcredits("SECOND_REVIEW_CREDITS", "1000")
"""A correction, refund or write-off above it waits for a second person; 0 for never."""

PIXIAN_TIMEOUT = env.integer("PIXIAN_TIMEOUT", 200, low=1)
"""Seconds without a byte, after which a call is in doubt. Pixian asks for 180 at least."""

CALLS_IN_FLIGHT = env.integer("CALLS_IN_FLIGHT", 100, low=1)
"""The ramp's ceiling over all workers. Pixian wants to be asked before more than 100."""

CALLS_AT_START = env.integer(
    "CALLS_AT_START", min(ramp_up.START, CALLS_IN_FLIGHT), low=1, high=CALLS_IN_FLIGHT
)
"""Where the ramp starts. Pixian wants to be asked before more than 5."""

WORKER_THREADS = env.integer("WORKER_THREADS", 2, low=1)
CELERY_BROKER_URL = env.url("CELERY_BROKER_URL", "", "redis", "rediss", "amqp", "amqps")
"""If set, Celery's workers are woken through it; without it workers poll the database."""
WAKE_WORKERS = "pixian_web.celery.wake" if CELERY_BROKER_URL else "jobs.queue.notify.skip"

LEASE_SECONDS = env.integer("LEASE_SECONDS", 60, low=1)

# Programs -----------------------------------------------------------------------------------------

WEB_PROCESSES = env.integer("WEB_PROCESSES", 1, low=1)
WEB_THREADS = env.integer("WEB_THREADS", 32, low=1)
"""Requests at once in each process."""

WEB_PATIENCE_SECONDS = env.integer("WEB_PATIENCE_SECONDS", 20, low=1)
WEB_LEAST_RATE = env.integer("WEB_LEAST_RATE", 10_000)
"""Limits for slow clients, in seconds and bytes a second (``pixian.server.waitress_channel.Limits``)."""

WEB_THREADS_FOR_PAGES = 8
"""Threads that API calls, which may last minutes, leave to pages."""

GATEWAY_WAIT_SECONDS = env.integer("GATEWAY_WAIT_SECONDS", 30)
"""The time an API call waits for its turn, or for an upstream that says 429, before it gets a 429 itself."""

API_CALLS_PER_KEY = env.integer("API_CALLS_PER_KEY", 300, high=1_000_000)
API_CALLS_PER_TEAM = env.integer("API_CALLS_PER_TEAM", 900, high=1_000_000)
API_GUESSES_PER_ADDRESS = env.integer("API_GUESSES_PER_ADDRESS", 30, high=1_000_000)
"""Limits a minute; 0 is no limit."""

FETCH_NETWORKS, FETCH_PORTS = engine_config.fetch_networks, engine_config.fetch_ports

# Django -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "storages",
    "accounts",
    "jobs",
    "pixian_web",
]

MIDDLEWARE = [
    "pixian_web.metrics.MetricsMiddleware",
    "pixian_web.middleware.RequestIdMiddleware",
    "pixian_web.middleware.ProbeMiddleware",
    "pixian_web.connections.GiveBackMiddleware",
    "jobs.api.slashes.one_slash",
    "pixian_web.middleware.HiddenSchemeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "pixian_web.middleware.PrivateMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.auth.middleware.SignInMiddleware",
    "pixian_web.incoming.TextMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "pixian_web.urls"
WSGI_APPLICATION = "pixian_web.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
DATABASE_POOL = env.integer("DATABASE_POOL", 16)
"""The most connections of one process to PostgreSQL; 0 for no pool."""
_pool_options = connections.pool_options(DATABASE_POOL)

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A transaction that reads and then writes fails at once if another one has written in between; IMMEDIATE
    # makes it wait at its start. FULL: an acknowledged booking survives a power cut too.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    # Threads and a live server need a file; a database in memory belongs to one connection.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"] |= {"CONN_MAX_AGE": 0}
    # A host that freezes inside a transaction would keep its team's accounts locked for hours. And to compile
    # a query takes longer than any of ours runs.
    DATABASES["default"]["OPTIONS"] = {
        "options": "-c idle_in_transaction_session_timeout=60s -c lock_timeout=20s -c jit=off",
        "pool": _pool_options,
    } | DATABASES["default"].get("OPTIONS", {})

# Wrong passwords and codes are counted here, over all processes and hosts (``accounts.models.CacheEntry``).
# MAX_ENTRIES is high, so a guesser with many names doesn't push others' counts out.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_counted",
        "KEY_FUNCTION": "accounts.rate_limits.cache_key",
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    }
}

# Files --------------------------------------------------------------------------------------------

MEDIA_ROOT = DATA_DIR / "files"
# On the files' volume, which may be one of its own, so that a rename puts a received file in place.
FILE_UPLOAD_TEMP_DIR = MEDIA_ROOT / ".spool"
SPOOL_ASIDE_DIR = DATA_DIR / "tmp"
"""The folder for a paid result if the files' volume is full."""

for _folder in (MEDIA_ROOT, FILE_UPLOAD_TEMP_DIR, SPOOL_ASIDE_DIR):
    _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
FILE_UPLOAD_HANDLERS = ["jobs.intake.upload_handler.BoundedUploadHandler"]

S3_BUCKET = env.matching("S3_BUCKET", r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?", "a bucket's name")
"""If set, the pictures are in this bucket; MEDIA_ROOT then only holds what is on its way there."""
S3_LINK_SECONDS = env.integer("S3_LINK_SECONDS", 60, high=7 * 24 * 60 * 60)
"""The lifetime of a download's link into the bucket; 0 sends downloads through the site instead."""
_s3_options = {
    "bucket_name": S3_BUCKET,
    "location": env.matching("S3_PREFIX", r"(\w[\w.-]*(/\w[\w.-]*)*)?", "a folder such as pictures/shop"),
    "endpoint_url": env.url("S3_ENDPOINT_URL", "", "https", "http") or None,
    "region_name": env.matching("S3_REGION", r"[\w-]+", "a region such as eu-west-3", default="us-east-1"),
    "access_key": env.identifier("S3_ACCESS_KEY") or None,
    "secret_key": env.secret("S3_SECRET_KEY") or None,
    "checksums": env.matching("S3_CHECKSUMS", "when_supported|when_required", default="when_required"),
    "querystring_expire": S3_LINK_SECONDS,
}
if bool(_s3_options["access_key"]) != bool(_s3_options["secret_key"]):
    raise ImproperlyConfigured("S3_ACCESS_KEY and S3_SECRET_KEY are needed together, or neither")

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "files": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "s3": {"BACKEND": "jobs.storage.s3.S3Storage", "OPTIONS": _s3_options},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STORAGES["default"] = STORAGES["s3" if S3_BUCKET else "files"]

VERIFY_EVERY_DAYS = env.integer("VERIFY_EVERY_DAYS", 30)
"""The nightly verification reads each stored result again no sooner than after so many days."""

# Who comes in -------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
PASSWORD_RESET_TIMEOUT = 60 * 60 * 24  # one-time log-in links too
SIGNUP_OPEN = env.boolean("SIGNUP_OPEN", default=False)
"""True if strangers may sign up by themselves."""

ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
ACCOUNT_ADAPTER = "accounts.auth.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "add_email": "accounts.auth.forms.NewAddressForm",
    "reset_password": "accounts.auth.forms.AskForPasswordForm",
    "reset_password_from_key": "accounts.auth.forms.NewPasswordForm",
    "signup": "accounts.auth.forms.SignUpForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_CHANGE_EMAIL = True  # one address each, which a new one replaces once it is confirmed
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Pixian Web] "
# "password" is ours (accounts.auth.adapter): it counts wrong passwords by the client's address. Counting by
# user would let a stranger lock a user out. "login_failed" is allauth's name for wrong second factors, by
# user: only a client that knows the password can use that one up. "confirm_email" is wide, since allauth
# doesn't tell the user that it sent nothing.
ACCOUNT_RATE_LIMITS = {
    "password": "10/5m/ip",
    "login_failed": "5/5m/key",
    "confirm_email": "5/5m/key",
    "identity_provider": "100/5m/ip",  # a whole office may come from one address
}

MFA_ADAPTER = "accounts.auth.adapter.MFAAdapter"
MFA_FORMS = {
    "activate_totp": "accounts.auth.forms.SetUpAppForm",
    "add_webauthn": "accounts.auth.forms.AddPasskeyForm",
    "authenticate_webauthn": "accounts.auth.forms.SecondFactorByPasskeyForm",
    "login_webauthn": "accounts.auth.forms.LoginByPasskeyForm",
    "reauthenticate_webauthn": "accounts.auth.forms.ConfirmByPasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = f"Pixian Web ({_public.host})"
# Invited users, and those that an operator created, never confirmed an address; without mail no user can.
MFA_ALLOW_UNVERIFIED_EMAIL = True

# Who comes in through an identity provider --------------------------------------------------------

OIDC_ISSUER = oidc.issuer(env.url("OIDC_ISSUER", "", "https", "http"))
OIDC_NAME = env.text("OIDC_NAME") or OIDC_ISSUER.partition("://")[2].partition("/")[0]
OIDC_TEAM = env.matching("OIDC_TEAM", r"[-\w]*", "a team's name in its address, as shop in /t/shop/")
OIDC_ROLE = env.matching("OIDC_ROLE", oidc.ROLES, default="member")
OIDC_GROUPS = oidc.groups(env.text("OIDC_GROUPS"))
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", "groups")
OIDC_TRUST_EMAIL = env.boolean("OIDC_TRUST_EMAIL", default=False)
"""True if an address that the provider has verified may open the account that has it here."""
SOCIALACCOUNT_PROVIDERS = oidc.providers(
    OIDC_ISSUER,
    env.identifier("OIDC_CLIENT_ID"),
    env.secret("OIDC_CLIENT_SECRET"),
    env.text("OIDC_SCOPES", "openid profile email").split(),
    mapped=bool(OIDC_TEAM or OIDC_GROUPS),
)
SOCIALACCOUNT_ADAPTER = "accounts.identity_provider.accounts.OidcAccountAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True  # see the adapter

# Mails --------------------------------------------------------------------------------------------

_mail = env.email("EMAIL_URL", "consolemail://")
globals().update(mail.django_settings(_mail, django.VERSION))
MAIL_LEAVES = mail.reaches_people(_mail)
"""True if mails reach people; otherwise they end in the log or a folder, and pages say so."""

DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", f"Pixian Web <pixian-web@{_public.host}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Without mail no user can confirm an address. With it users needn't before they sign in, since those that an
# operator created would be locked out.
ACCOUNT_EMAIL_VERIFICATION = "optional" if MAIL_LEAVES else "none"
ACCOUNT_EMAIL_NOTIFICATIONS = MAIL_LEAVES

# What a browser may do ----------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Language and time --------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_TZ = True

# Logs ---------------------------------------------------------------------------------------------

LOG_FORMAT = env.matching("LOG_FORMAT", f"{logs.TEXT}|{logs.JSON}", default=logs.TEXT)
LOG_FILE = env.text("LOG_FILE")
logs.configure()
LOGGING = logs.configuration(LOG_LEVEL, LOG_FORMAT, Path(LOG_FILE) if LOG_FILE else None)

# Metrics ------------------------------------------------------------------------------------------

METRICS_TOKEN = env.secret("METRICS_TOKEN")
"""The bearer token of /metrics, which isn't there without one."""
if METRICS_TOKEN and len(METRICS_TOKEN) < LEAST_TOKEN:
    raise ImproperlyConfigured(f"METRICS_TOKEN must have {LEAST_TOKEN} characters or more")
METRICS_DIR = DATA_DIR / "metrics"
