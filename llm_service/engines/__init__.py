"""Engines, and the processes they live in.

Importing OpenVINO would start a process that reports to a web service unless the user has opted out
elsewhere. With the reporting package out of reach OpenVINO uses its own empty stand-in; it stands
here because every engine is imported through this package.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
