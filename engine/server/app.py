"""The engine's WSGI application: the contract's calls, and a health probe."""

import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from engine.config import Config
from engine.models import catalog as models
from engine.pipeline import inference
from engine.pipeline.cutout import BackgroundRemover, CutOut
from engine.pipeline.matting import Matting
from pixian.client.client import API_PATH
from pixian.protocol import file_names, version_1
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError, Code, Refused, ServerFailed
from pixian.protocol.options import Format, Options
from pixian.server import cors
from pixian.server.concurrency_limit import ConcurrencyLimit
from pixian.server.form import UploadRequest, read_form
from pixian.server.image_source import name_of, read_source
from pixian.server.url_fetcher import Fetcher

URLS = Map(
    [
        Rule(f"{API_PATH}/remove-background", endpoint="remove_background", methods=["POST"]),
        Rule(version_1.PATH, endpoint="remove_background_v1", methods=["POST"]),
        Rule(f"{API_PATH}/account", endpoint="account", methods=["GET"]),
        Rule("/healthz", endpoint="healthz", methods=["GET"]),
    ]
)

# The engine keeps no accounts: a call to it costs nothing outside this installation.
ACCOUNT = {
    "creditPack": "none",
    "state": "active",
    "useBefore": "9999-12-31T23:59:59Z",
    "credits": 1_000_000.0,
}

logger = logging.getLogger(__name__)

RenameFields = Callable[[Mapping[str, str]], dict[str, str]]


def create_application(config: Config) -> WSGIApplication:
    """Load the network and return the application.

    Raises ModelError, ConfigError or FileNotFoundError.
    """
    model = models.find(config.model, config.models_dir)
    weights = model.path(config.models_dir)
    if not weights.exists():
        raise FileNotFoundError(f"{weights} is missing: run `python -m engine.models.download {model.name}`")
    model.check(weights)
    runtime = inference.load(weights, config.data_dir / "engine-cache", bfloat16=model.bfloat16)
    remover = BackgroundRemover(Matting(model, runtime), config.microcredits_per_megapixel, config.timeout)
    fetcher = Fetcher(networks=config.fetch_networks, ports=config.fetch_ports)
    return EngineApp(remover, config.credentials, fetcher, ConcurrencyLimit(config.queue))


class EngineApp:
    """The WSGI application; every exception becomes an error response in the contract's envelope."""

    def __init__(
        self, remover: BackgroundRemover, credentials: Credentials, fetcher: Fetcher, limit: ConcurrencyLimit
    ) -> None:
        self._remover = remover
        self._credentials = credentials
        self._fetcher = fetcher
        self._limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        # A superfluous slash is ignored. Clients would follow a redirect to the right path without the body.
        environ["PATH_INFO"] = re.sub("/+", "/", environ.get("PATH_INFO", "")).rstrip("/") or "/"
        with UploadRequest(environ) as request:
            response = self._respond(request)
            if request.path == version_1.PATH:
                response.headers.update(version_1.DEPRECATED)
            return list(response(environ, start_response))

    def _respond(self, request: UploadRequest) -> Response:
        try:
            response = self._route(request)
        except ApiError as error:
            response = envelope(error)
        except HTTPException as error:
            # 404, 405 and werkzeug's other errors: the contract has no codes for them, so the status serves.
            status = error.code or 500
            response = envelope(Refused(status, status, error.name + "."))
            if allowed := getattr(error, "valid_methods", None):
                response.headers["Allow"] = ", ".join(allowed)
        except Exception:
            logger.exception("The call failed")
            response = envelope(ServerFailed(500, 500, "The engine failed; its log has the details."))
        response.headers.update(cors.OPENED)
        return response

    def _route(self, request: UploadRequest) -> Response:
        if cors.is_preflight(request.method, request.headers):
            return Response(status=cors.NO_CONTENT, headers=cors.PREFLIGHT)
        match URLS.bind_to_environ(request.environ).match()[0]:
            case "healthz":
                return Response("ok\n", content_type="text/plain")
            case "account":
                authenticate(request, self._credentials)
                return Response(json.dumps(ACCOUNT), content_type="application/json")
            case "remove_background_v1":
                return self._remove_background(request, version_1.as_v2)
            case _:
                return self._remove_background(request)

    def _remove_background(self, request: UploadRequest, rename: RenameFields = dict) -> Response:
        """Respond with a cut-out. rename: translates the fields' names to those of version 2."""
        authenticate(request, self._credentials)
        with self._limit.passed():
            fields = rename(read_form(request))
            options = Options.parse(fields)
            with read_source(request, fields, self._fetcher) as picture:
                cut_out = self._remover.cut_out(picture, options)
                return result_response(cut_out, options, name_of(request, fields, "image"))


def authenticate(request: Request, expected: Credentials) -> None:
    """Raise Refused 401/1001 for an unknown Id, or none at all, and 401/1004 for a wrong secret."""
    credentials = Credentials.from_header(request.headers.get("Authorization", ""))
    if credentials is None or not _equal(credentials.api_id, expected.api_id):
        raise Refused(
            401, Code.ID_UNKNOWN, "The API Id is missing or unknown. Send Id and secret with HTTP Basic."
        )
    if not _equal(credentials.api_secret, expected.api_secret):
        raise Refused(401, Code.SECRET_WRONG, "The API secret is wrong.")


def result_response(cut_out: CutOut, options: Options, original: str) -> Response:
    """Return the response with a result (§ 3). original: file name of the uploaded picture."""
    response = Response(cut_out.content, content_type=cut_out.content_type)
    ending, delta = file_names.ENDINGS[cut_out.content_type], options.output_format is Format.DELTA_PNG
    name = file_names.cut_out_name(original, ending, delta=delta)
    response.headers["Content-Disposition"] = file_names.attachment(name)
    response.headers["X-Credits-Charged"] = format_credits(cut_out.charged_microcredits)
    if options.test:
        response.headers["X-Credits-Calculated"] = format_credits(cut_out.price_microcredits)
    response.headers["X-Input-Size"] = "{} {}".format(*cut_out.input_size)
    response.headers["X-Result-Size"] = "{} {}".format(*cut_out.result_size)
    response.headers["X-Input-Orientation"] = str(cut_out.orientation)
    return response


def envelope(error: ApiError) -> Response:
    """Return an error response (§ 4)."""
    body = json.dumps(error.envelope())
    return Response(body, error.status, headers=error.headers(), content_type="application/json")


def _equal(text: str, secret: str) -> bool:
    """Compare in constant time, so that the response's timing reveals nothing about the secret."""
    return secrets.compare_digest(text.encode(), secret.encode())
