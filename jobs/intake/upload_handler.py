"""Receive a file from a browser without letting it fill the disk."""

from django.core.files.uploadhandler import TemporaryFileUploadHandler

from pixian.protocol.limits import MAX_UPLOAD_BYTES


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """Write each file to disk up to the contract's limit, and only count the bytes beyond.

    The form then refuses it by its size, with a message; a connection that breaks off would leave the user
    without one.
    """

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if start + len(raw_data) <= MAX_UPLOAD_BYTES:
            self._write(raw_data, start)
        return None

    def _write(self, raw_data: bytes, start: int) -> None:
        try:
            super().receive_data_chunk(raw_data, start)
        except OSError:
            self.file.close()  # which removes it: a full disk needs the room
            raise
