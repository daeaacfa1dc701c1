"""One photo's way: intake → (row) → queue → worker → calls → pixian.client → ledger → (row) → pages."""
