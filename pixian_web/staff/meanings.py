"""Say what each setting means, in groups; README says it at length for operators."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MEANINGS: dict[Promise, dict[str, Promise]] = {
    _("Site"): {
        "PUBLIC_URL": _("the address that people use"),
        "BIND_ADDRESS": _("the IP address that the site listens on"),
        "PORT": _("the port that the site listens on"),
        "DATA_DIR": _("the folder of the files, the SQLite database and generated secrets"),
        "SECRET_KEY": _("signs links, and encrypts sessions and second factors; generated if it isn't set"),
        "HTTPS_REDIRECT": _("pages requested over plain HTTP are redirected"),
        "HSTS_SECONDS": _("seconds for which browsers remember to use HTTPS only; 0 sends no such header"),
        "TRUSTED_PROXIES": _("how many of your own proxies are in front of the site"),
        "SIGNUP_OPEN": _("anyone may create an account"),
        "TIME_ZONE": _("the time zone of pages"),
        "LOG_LEVEL": _("the least important messages that are logged"),
        "LOG_FORMAT": _("text for people, or json: a line is a JSON object"),
        "LOG_FILE": _("a file that the log goes to as well"),
        "METRICS_TOKEN": _("the bearer token of /metrics, which isn't there without one"),
        "DEBUG": _("Django's error pages; never on where strangers can reach the site"),
    },
    _("Upstream and credits"): {
        "PIXIAN_API_URL": _("the upstream; “embedded” is the engine on this machine"),
        "PIXIAN_API_ID": _("the account's Id there"),
        "PIXIAN_API_SECRET": _("the account's secret there"),
        "PIXIAN_TIMEOUT": _("seconds without a byte after which a call is in doubt"),
        "CALLS_IN_FLIGHT": _("the most calls at once, which the ramp rises to"),
        "CALLS_AT_START": _("the calls at once that the ramp starts with"),
        "HOLD_CREDITS_PER_MEGAPIXEL": _("credits held per megapixel at least, before a call"),
        "CHARGE_ALARM_FACTOR": _("a charge above this many times its hold isn't believed"),
        "SECOND_REVIEW_CREDITS": _(
            "a correction, a refund, or calls in doubt decided together, above it wait for a second person; "
            "0 for never"
        ),
        "FIRST_TEAM_CREDITS": _("credits of the first team of a new installation"),
    },
    _("Database and files"): {
        "DATABASE_URL": _("the database"),
        "DATABASE_POOL": _("the most connections of one process to PostgreSQL; 0 for no pool"),
        "S3_BUCKET": _("the bucket that keeps the pictures; without one they are in DATA_DIR"),
        "S3_PREFIX": _("the folder in the bucket"),
        "S3_ENDPOINT_URL": _("the S3 server, if it isn't Amazon's"),
        "S3_REGION": _("the region of the bucket"),
        "S3_ACCESS_KEY": _("the Id of the key for the bucket"),
        "S3_SECRET_KEY": _("its secret"),
        "S3_CHECKSUMS": _("checksums of requests to the bucket; older servers need “when_required”"),
        "S3_LINK_SECONDS": _("seconds for which a download's link into the bucket is valid; 0 for none"),
        "VERIFY_EVERY_DAYS": _("days after which the nightly verification reads a stored result again"),
    },
    _("Processes"): {
        "WORKER_THREADS": _("calls at once of one worker process"),
        "LEASE_SECONDS": _("seconds after its last heartbeat until another worker takes a job over"),
        "CELERY_BROKER_URL": _("the broker that wakes workers; without one they poll the database"),
        "WEB_PROCESSES": _("web processes"),
        "WEB_THREADS": _("requests at once in a web process"),
        "WEB_PATIENCE_SECONDS": _("seconds for which a connection may be idle"),
        "WEB_LEAST_RATE": _("bytes a second that a client has to send or receive on average"),
    },
    _("Programs"): {
        "API_CALLS_PER_KEY": _("calls a minute of one API key; 0 for no limit"),
        "API_CALLS_PER_TEAM": _("calls a minute of all of a team's keys; 0 for no limit"),
        "API_GUESSES_PER_ADDRESS": _("wrong API keys a minute from one address; 0 for no limit"),
        "GATEWAY_WAIT_SECONDS": _("seconds that an API call waits for its turn before it gets a 429"),
        "FETCH_NETWORKS": _("private networks that pictures may be fetched from"),
        "FETCH_PORTS": _("ports that pictures may be fetched from"),
    },
    _("Identity provider"): {
        "OIDC_ISSUER": _("the identity provider through which people sign in; without one, nobody does"),
        "OIDC_CLIENT_ID": _("this site's Id there"),
        "OIDC_CLIENT_SECRET": _("this site's secret there"),
        "OIDC_NAME": _("its name on the sign-in button"),
        "OIDC_SCOPES": _("what is asked of it"),
        "OIDC_TEAM": _("the team of everyone who signs in through it"),
        "OIDC_ROLE": _("their role in that team"),
        "OIDC_GROUPS": _("the teams and roles of its groups"),
        "OIDC_GROUPS_CLAIM": _("the claim that lists a person's groups"),
        "OIDC_TRUST_EMAIL": _("an address that it has verified opens the account that has it here"),
    },
    _("Email"): {
        "EMAIL_URL": _("where email goes"),
        "EMAIL_FROM": _("the sender of email"),
    },
    _("Engine"): {
        "ENGINE_MODEL": _("the model of the embedded engine"),
        "ENGINE_API_ID": _("the Id that it expects; generated if it isn't set"),
        "ENGINE_API_SECRET": _("its secret; generated if it isn't set"),
        "ENGINE_CREDITS_PER_MEGAPIXEL": _("credits that it charges per megapixel"),
        "ENGINE_QUEUE": _("calls at work or waiting in it; further ones are answered 429"),
        "ENGINE_TIMEOUT": _("seconds that a call waits for its turn there before it is answered 503"),
        "MODELS_DIR": _("the folder of its models"),
    },
}
