"""The pages. Each view is three moves: whose team, valid form, one call."""
