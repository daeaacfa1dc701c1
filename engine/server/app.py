"""The engine's face: the contract's ``POST /api/v2/remove-background`` as a WSGI application."""

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

# The engine has no books: whoever calls it pays nobody outside this house.
ACCOUNT = {
    "creditPack": "none",
    "state": "active",
    "useBefore": "9999-12-31T23:59:59Z",
    "credits": 1_000_000.0,
}

logger = logging.getLogger(__name__)

Renamed = Callable[[Mapping[str, str]], dict[str, str]]


def create_application(config: Config) -> WSGIApplication:
    """The application, its network loaded and ready; raises ModelError, ConfigError or FileNotFoundError."""
    model = models.find(config.model, config.models_dir)
    weights = model.path(config.models_dir)
    if not weights.exists():
        raise FileNotFoundError(f"{weights} is missing: run `python -m engine.models.download {model.name}`")
    model.check(weights)
    loaded = inference.load(weights, config.data_dir / "engine-cache")
    cutter = BackgroundRemover(Matting(model, loaded), config.microcredits_per_megapixel, config.timeout)
    fetcher = Fetcher(networks=config.fetch_networks, ports=config.fetch_ports)
    return EngineApp(cutter, config.credentials, fetcher, ConcurrencyLimit(config.queue))


class EngineApp:
    """Answers requests; what it raises in between becomes the contract's envelope."""

    def __init__(
        self, cutter: BackgroundRemover, credentials: Credentials, fetcher: Fetcher, door: ConcurrencyLimit
    ) -> None:
        self._cutter = cutter
        self._credentials = credentials
        self._fetcher = fetcher
        self._door = door

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        # A slash too many is no other address, and a redirect would lose the body.
        environ["PATH_INFO"] = re.sub("/+", "/", environ.get("PATH_INFO", "")).rstrip("/") or "/"
        with UploadRequest(environ) as request:
            response = self._answer(request)
            if request.path == version_1.PATH:
                response.headers.update(version_1.DEPRECATED)
            return list(response(environ, start_response))

    def _answer(self, request: UploadRequest) -> Response:
        try:
            return _opened(self._routed(request))
        except ApiError as error:
            response = envelope(error)
        except HTTPException as error:
            response = envelope(_of_http(error))
            if allowed := getattr(error, "valid_methods", None):
                response.headers["Allow"] = ", ".join(allowed)
        except Exception:
            logger.exception("The call failed")
            response = envelope(ServerFailed(500, 500, "The engine failed; its log says why."))
        return _opened(response)

    def _routed(self, request: UploadRequest) -> Response:
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

    def _remove_background(self, request: UploadRequest, renamed: Renamed = dict) -> Response:
        """renamed: gives the fields the names they have in version 2."""
        authenticate(request, self._credentials)
        with self._door.passed():
            fields = renamed(read_form(request))
            options = Options.parse(fields)
            with read_source(request, fields, self._fetcher) as picture:
                made = self._cutter.cut_out(picture, options)
                return answer(made, options, name_of(request, fields, "image"))


def authenticate(request: Request, known: Credentials) -> None:
    """Raises Refused 401/1001 for an Id that isn't known, or none at all, and 401/1004 for a wrong secret."""
    given = Credentials.from_header(request.headers.get("Authorization", ""))
    if given is None or not _same(given.api_id, known.api_id):
        raise Refused(401, Code.ID_UNKNOWN, "The API Id is unknown: send Id and secret as HTTP Basic.")
    if not _same(given.api_secret, known.api_secret):
        raise Refused(401, Code.SECRET_WRONG, "The API secret is wrong.")


def answer(made: CutOut, options: Options, original: str) -> Response:
    """200, with what the contract tells about a result in its headers (§ 3). original: its picture's name."""
    response = Response(made.content, content_type=made.content_type)
    ending, delta = file_names.ENDINGS[made.content_type], options.output_format is Format.DELTA_PNG
    name = file_names.cut_out_name(original, ending, delta=delta)
    response.headers["Content-Disposition"] = file_names.attachment(name)
    response.headers["X-Credits-Charged"] = format_credits(made.charged_microcredits)
    if options.test:
        response.headers["X-Credits-Calculated"] = format_credits(made.price_microcredits)
    response.headers["X-Input-Size"] = "{} {}".format(*made.input_size)
    response.headers["X-Result-Size"] = "{} {}".format(*made.result_size)
    response.headers["X-Input-Orientation"] = str(made.orientation)
    return response


def envelope(error: ApiError) -> Response:
    """An error answer (§ 4)."""
    body = json.dumps(error.envelope())
    return Response(body, error.status, headers=error.headers(), content_type="application/json")


def _opened(response: Response) -> Response:
    response.headers.update(cors.OPENED)
    return response


def _of_http(error: HTTPException) -> ApiError:
    """404, 405 and what else werkzeug itself refuses: the contract has no codes for them."""
    status = error.code or 500
    return Refused(status, status, error.name + ".")


def _same(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode(), known.encode())
