"""Show a batch while it runs, and hand its pictures out."""
