"""The site: settings, addresses, and the commands that start it."""
