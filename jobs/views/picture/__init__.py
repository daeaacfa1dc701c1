"""Show one picture, and report or delete it."""
