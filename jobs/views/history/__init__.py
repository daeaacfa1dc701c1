"""Find pictures again."""
