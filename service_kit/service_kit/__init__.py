"""Common parts of HTTP services: logs, request ids, API keys, host checks, errors, OpenAPI, metrics, traces, SSE."""
