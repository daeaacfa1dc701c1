"""One photo's way: forms → submit → (row) → queue → process → pixian.client → process → (row) → pages."""
