"""An OpenStack Swift in one process, which answers S3's requests.

``tests.site.s3`` runs this file with the Python of ``.venv-swift``, which has no package of the product's:
``python tests/site/swift_server.py FOLDER PORT ACCESS_KEY SECRET_KEY``.
"""

import sys
from pathlib import Path

import eventlet
from eventlet import wsgi
from swift.account.server import AccountController
from swift.common import storage_policy, utils
from swift.common import wsgi as swift_wsgi
from swift.common.ring import RingData
from swift.container.server import ContainerController
from swift.obj.server import ObjectController

LOOPBACK = "127.0.0.1"
BACKEND = {"account": AccountController, "container": ContainerController, "object": ObjectController}

PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:s3api]
use = egg:swift#s3api
s3_acl = no
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin
"""


def main(folder: Path, port: int, access_key: str, secret_key: str) -> None:
    _set_up(folder)
    for kind, controller in BACKEND.items():
        listener = eventlet.listen((LOOPBACK, 0))
        _write_ring(folder, kind, listener.getsockname()[1])
        options = {"devices": str(folder / "devices"), "mount_check": "false", "swift_dir": str(folder)}
        eventlet.spawn(_serve, listener, controller(options))
    conf = folder / "proxy-server.conf"
    user = access_key.replace(":", "_")
    conf.write_text(PROXY.format(folder=folder, user=user, secret=secret_key))
    _serve(eventlet.listen((LOOPBACK, port)), swift_wsgi.loadapp(str(conf)))


def _set_up(folder: Path) -> None:
    """Replace what an installation has in /etc/swift."""
    utils.HASH_PATH_SUFFIX = utils.HASH_PATH_PREFIX = b"experiment"
    storage_policy.reload_storage_policies()
    (folder / "devices/sda1").mkdir(parents=True, exist_ok=True)


def _write_ring(folder: Path, kind: str, port: int) -> None:
    device = {"id": 0, "zone": 0, "region": 0, "device": "sda1", "ip": LOOPBACK, "port": port, "weight": 1}
    device |= {"replication_ip": LOOPBACK, "replication_port": port}
    RingData([[0, 0]], [device], part_shift=31).save(str(folder / f"{kind}.ring.gz"))


def _serve(listener: "eventlet.greenio.GreenSocket", app: object) -> None:
    wsgi.server(listener, app, log_output=False)


if __name__ == "__main__":
    utils.eventlet_monkey_patch()
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
