"""``/api/llm/status``: what people want to know of a running service."""

import psutil

from schemas.state import StatusResponse
from tests.api.service_process import eventually, running_service


def test_it_says_what_is_loaded_how_quick_it_is_and_what_failed_last() -> None:
    with running_service() as service:

        def status() -> StatusResponse:
            response = service.client.get("/api/llm/status")
            assert response.status_code == 200
            return StatusResponse.model_validate_json(response.content)

        first = status()
        assert [model.role for model in first.models] == ["generator", "embedder"]
        assert (first.recent.answers, first.recent.ttft_ms, first.last_error) == (0, None, None)
        for model in first.models:
            held = psutil.Process(service.workers()[model.role].pid).memory_info().rss
            assert model.memory_bytes is not None
            assert held / 2 < model.memory_bytes < held * 2
        for _ in range(2):
            # The second answer comes from the response cache, which says nothing about speed.
            assert service.generate("uno dos tres", temperature=0).status_code == 200
        eventually(lambda: status().recent.answers == 1, "the computed answer counts")
        assert (status().recent.tokens_per_second or 0) > 0
        assert service.generate("[[crash]]").status_code == 503
        eventually(lambda: status().status == "healthy", "another worker is ready")
        after = status()
        assert after.error is None
        assert after.last_error is not None
        assert (after.last_error.role, after.last_error.message) == ("generator", "ended with status 13")
        assert [model.restarts for model in after.models] == [1, 0]
