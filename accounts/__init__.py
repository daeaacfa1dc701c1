"""Who they are and what they may spend: users, teams, roles, and the ledger. It knows no photos."""
