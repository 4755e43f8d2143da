"""Engines.

Importing OpenVINO starts a process that reports usage to a web service, unless the user has opted out.
Without its telemetry package, which is blocked here, OpenVINO reports nothing. Every engine is imported
through this package, so this runs first.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
