"""People, teams, API keys and the ledger. It knows nothing about pictures."""
