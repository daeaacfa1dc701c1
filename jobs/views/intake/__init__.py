"""Take pictures in: on the workspace, by upload and in chunks."""
