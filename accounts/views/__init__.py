"""Serve the pages of people and teams. Each view has three steps: whose team, valid form, one call."""
