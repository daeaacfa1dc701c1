"""E13: every route of the site, who may ask for it, and what they get. ``rows`` has the table."""
