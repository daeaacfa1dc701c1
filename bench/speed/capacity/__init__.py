"""What many pictures a month need, from what one picture costs here (``docs/capacity.md``)."""
