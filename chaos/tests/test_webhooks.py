"""E18 for webhooks in its short form: five kills of senders, on SQLite; the soak has 50 on each database."""

import pytest

from chaos.tests.played import Play


@pytest.mark.timeout(300)
def test_kills_of_senders_leave_no_event_untold(play: Play) -> None:
    webhooks = play("webhooks", "--database", "sqlite", "--kills", 5, "--scale", 0.2, seconds=280)
    assert webhooks["failures"] == 0, webhooks.output
    assert webhooks["events"] >= 40
    assert webhooks["repeated"] > 0, "no sender or receiver ever failed"
    assert webhooks["control"] > 0, "events that were lost weren't noticed"
    assert webhooks["canary"] > 0, "without the guard the canary wasn't reached"
    assert webhooks.code == 0
