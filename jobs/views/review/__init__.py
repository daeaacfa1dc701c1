"""Let people decide what isn't clear, and show what they decided."""
