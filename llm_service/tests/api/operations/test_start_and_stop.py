import concurrent.futures
import signal

import psutil

from tests.api.service_process import ServiceProcess, check_broken_off, eventually, question, running_service


def test_it_lives_while_the_model_loads_and_says_so() -> None:
    with running_service(
        ready=False, LLM_BACKEND="transformers", LLM_MODEL="embedded", EMBEDDING_BACKEND="fake"
    ) as service:
        health = service.client.get("/api/llm/health")
        assert (health.status_code, health.json()["status"]) == (503, "loading")
        assert service.client.get("/readyz").status_code == 503
        refused = service.generate("hola")
        assert refused.status_code == 503
        assert refused.json()["error"]["type"] == "model_loading"
        assert refused.json()["error"]["retryable"] is True
        assert int(refused.headers["Retry-After"]) >= 1


def test_without_model_hub_or_stand_in_it_refuses_to_start() -> None:
    with running_service(
        ready=None, LLM_BACKEND="auto", LLM_MODEL="nobody/no-such-model", LLM_OFFLINE_MODEL="none", HF_HUB_OFFLINE="1"
    ) as service:
        assert service.process.wait(60) != 0
        assert "nobody/no-such-model is not in the model cache and the hub cannot be reached" in service.log()
        assert "LLM_OFFLINE_MODEL=embedded" in service.log()


def test_a_bad_setting_stops_the_start_with_one_line_that_names_it() -> None:
    with running_service(ready=None, LLM_BACKEND="magic") as service:
        assert service.process.wait(60) == 1
        (line,) = service.log().strip().splitlines()
        assert line.startswith("configuration error: LLM_BACKEND")


def test_settings_without_effect_are_accepted_with_a_warning(configured: ServiceProcess) -> None:
    for name in ("LLM_REPRODUCIBLE", "LLM_PROMPT_LOOKUP"):
        assert f"{name} is ignored and will go" in configured.log()


def test_it_drains_when_told_to_stop() -> None:
    with running_service() as service:
        workers = list(service.workers().values())
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(service.generate, "uno [[words:60]] [[slow:100]]")
            eventually(lambda: service.health()["queue"]["running"] == 1, "it runs")
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda: service.client.get("/readyz").status_code == 503, "not ready any more")
            refused = service.client.post("/api/llm/generate", json=question("hola"))
            assert refused.status_code == 503
            assert refused.json()["error"]["type"] == "draining"
            assert refused.json()["error"]["retryable"] is True
            assert refused.headers["Retry-After"]
            assert service.client.get("/livez").status_code == 200
            assert under_way.result().json()["tokens_generated"] == 60
        service.process.wait(60)
        assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_a_second_signal_does_not_wait_for_the_grace() -> None:
    with running_service() as service:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(service.generate, "uno [[words:2000]] [[slow:50]]", max_new_tokens=2000)
            eventually(lambda: service.health()["queue"]["running"] == 1, "it runs")
            service.process.send_signal(signal.SIGINT)
            eventually(lambda: service.client.get("/readyz").status_code == 503, "draining")
            service.process.send_signal(signal.SIGINT)
            cut_off = under_way.result()
            assert (cut_off.status_code, cut_off.json()["error"]["retryable"]) == (503, True)
        service.process.wait(60)


def test_what_is_not_done_when_the_grace_is_over_ends_with_an_error_for_all_who_share_it() -> None:
    with running_service(LLM_DRAIN_GRACE_S="0.2") as service:
        body = question("uno [[words:2000]] [[slow:20]]", max_new_tokens=2000, temperature=0, stream=True)
        with (
            service.client.stream("POST", "/api/llm/generate", json=body) as first,
            service.client.stream("POST", "/api/llm/generate", json=body) as second,
        ):
            both = [response.iter_lines() for response in (first, second)]
            assert all(next(lines).startswith("data: ") for lines in both)
            assert service.health()["queue"]["running"] == 1
            service.process.send_signal(signal.SIGTERM)
            for lines in both:
                check_broken_off(lines)
        service.process.wait(60)
        assert "never retrieved" not in service.log()
        assert "Traceback" not in service.log()
