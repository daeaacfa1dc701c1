"""Show where a team's credits went."""
