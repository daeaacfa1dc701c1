"""The pages of people and teams. Each view is three moves: whose team, valid form, one call."""
