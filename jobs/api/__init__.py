"""The faces for programs: Pixian's own contract, the drop-in for remove.bg, and our own JSON API."""
