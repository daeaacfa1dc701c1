"""Lock a team's row before its members change or it is deleted, so that of two changes one sees the other."""

from accounts.models import Team


def lock(team_id: int) -> bool:
    """Lock the team until the transaction ends; return False if it has been deleted."""
    # With no_key, rows that refer to the team can still be inserted, so submitting pictures doesn't wait.
    # (SQLite has locked the whole file by then.)
    return Team.objects.select_for_update(no_key=True).get(pk=team_id).deleted_at is None
