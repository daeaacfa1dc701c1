"""The broker's death in its short form: Redis is killed a few times under load, and no worker ends by it."""

import pytest

from chaos import servers
from chaos.tests.played import Play

LACKS = servers.postgres_lacks() or servers.redis_lacks()


@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(LACKS), reason=str(LACKS))
def test_workers_outlive_their_broker(play: Play) -> None:
    broker = play("broker", "--database", "postgresql", "--kills", 2, "--workers", 2)
    assert broker["ended"] == broker["failures"] == 0, broker.output
    assert broker["jobs"] > 20
    assert broker["control"] > 0, "workers survive without the mend too"
    assert broker.code == 0
