"""Show those who run the site its teams, people and settings. What shows jobs alone is in ``jobs.views``."""
