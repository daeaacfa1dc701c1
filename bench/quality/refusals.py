"""``python -m bench.quality.refusals``: measures the time in which an engine refuses hostile files."""

import sys
import time
from statistics import median

import httpx

from engine.config import Config
from engine.server.app import create_application
from engine.tests.conftest import REMOVE, auth, photo, upload
from engine.tests.server.test_bombs import CASES

REPEATS = 7


def main() -> None:
    config = Config.from_env()
    transport = httpx.WSGITransport(create_application(config))
    with httpx.Client(base_url="http://engine", transport=transport, auth=auth(config.credentials)) as http:
        http.post(REMOVE, files=upload(photo("chelsea"))).raise_for_status()
        for name, (make, _answers) in CASES.items():
            content, times = make(), []
            for _ in range(REPEATS):
                started = time.perf_counter()
                answer = http.post(REMOVE, files=upload(content))
                times.append((time.perf_counter() - started) * 1000)
            span = f"{min(times):.0f} to {max(times):.0f}"
            sys.stdout.write(f"{name:32} {answer.status_code}  {median(times):6.0f} ms ({span})\n")


if __name__ == "__main__":
    main()
