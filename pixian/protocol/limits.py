"""The contract's bounds on a picture. Source: the vendor's own pages, § 2 of the contract."""

MAX_UPLOAD_BYTES = 31_457_280
"""30 MiB; more is refused with 413/1012."""

MAX_UPLOAD_PIXELS = 32_000_000
"""Width × height; more is refused with 413/1013."""

MAX_PROCESSED_PIXELS = 25_000_000
"""A picture between this and the upload limit is shrunk to it before work and price."""

MAX_RESULT_PIXELS = MAX_PROCESSED_PIXELS
"""Of a result with its margins or at its target size; more is refused with 400/1023 (G)."""

IDLE_TIMEOUT_SECONDS = 200
"""The contract asks for at least 180 s of silence before a caller gives up; a little is added so that
an answer that starts at 180 s is still heard."""
