"""Connections in their short form: fifty programs on three web processes stay below PostgreSQL's 100."""

import pytest

from chaos import servers
from chaos.tests.played import Play

LACKS = servers.postgres_lacks()


@pytest.mark.timeout(420)
@pytest.mark.skipif(bool(LACKS), reason=str(LACKS))
def test_many_programs_share_few_connections(play: Play) -> None:
    connections = play("connections", "--seconds", 6, seconds=400)
    assert connections["failures"] == connections["left"] == 0, connections.output
    assert connections["most"] < 97
    assert connections["answered"] > 20
    assert connections["control"] > 97, "without the pool there were enough connections too"
    assert connections.code == 0
