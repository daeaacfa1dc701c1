"""Show those who run the site the upstream account and its books."""
