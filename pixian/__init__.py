"""The Pixian v2 contract itself, free of Django: what is asked, answered, refused and waited for."""
