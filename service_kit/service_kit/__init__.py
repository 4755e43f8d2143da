"""What any HTTP service needs: logs, request ids, API keys, host checks, errors, OpenAPI, metrics, traces, SSE."""
