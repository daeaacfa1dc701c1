"""R6: each page on a database that years have filled."""
