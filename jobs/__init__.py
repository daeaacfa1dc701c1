"""One photo's way: forms → submit → (row) → queue → process → pixian.client.client → process → (row) → pages."""
