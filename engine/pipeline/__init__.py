"""The pipeline that turns a picture into a cut-out."""

import os

# onnxruntime sends telemetry from the moment it is imported, and disable_telemetry_events() comes too late
# for its first event. Only this variable, set before the import, keeps it from opening any connection.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
