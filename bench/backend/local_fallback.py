"""The backend's local model: its first answer, what it costs the API, and fifty questions while the service is killed.

    python dev.py bench local_fallback [-- --quick | --rounds N]

Real processes: the LLM service with the embedded model, and the backend with a database of its own.
"""

import argparse
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager

import psutil

from bench.backend.parts import LEXICON, backend_process
from bench.harness import study
from bench.harness.http import LIVEZ, Answer, Call, MeasuringFailed, call_all, probing
from bench.harness.services import Server, free_port, llm_service, pss_mb
from bench.harness.study import Figure, Report, Study

ROUNDS, CALLERS = 3, 50
IDLE_S, KILL_AFTER_S = 3.0, 1.0


def questions(count: int) -> list[Call]:
    """Questions about different entries of the sample lexicon."""
    entries = json.loads(LEXICON.read_text(encoding="utf-8"))[:count]
    return [Call("/api/rag/query", {"query": f"¿Cómo se dice {entry['lemma']} en bora?"}) for entry in entries]


def backend(service_port: int) -> AbstractContextManager[Server]:
    """A backend with the embedded model as its fallback."""
    return backend_process(
        LLM_MODEL="embedded",
        LLM_SERVICE_URL=f"http://127.0.0.1:{service_port}",
        LLM_LOCAL_IDLE_TIMEOUT=str(IDLE_S),
        RAG_WORDING="always",
    )


def models(server: Server) -> list[psutil.Process]:
    """The processes of the local models."""
    return [process for process in server.processes() if "adapters.local.child" in process.cmdline()]


def first_answer(server: Server) -> dict[str, float]:
    """Ask one question with no process of a local model running."""
    while models(server):
        time.sleep(0.1)
    before = pss_mb(server.processes()[0])
    with probing(server.port, LIVEZ, 0.01) as seconds:
        (answer,), _ = call_all(server.port, questions(1), 1)
    if answer.json()["served_by"] != "local":
        raise MeasuringFailed(f"the local model did not answer\n{server.log_tail()}")
    return {
        "first_answer_s": answer.seconds,
        "livez_p99_ms": study.spread_ms(seconds)["p99_ms"],
        "api_gained_mb": pss_mb(server.processes()[0]) - before,
        "models_mb": sum(pss_mb(process) for process in models(server)),
    }


def kill_under_questions() -> dict[str, float]:
    """Ask fifty questions of a service that works, then of one that is killed meanwhile."""
    with llm_service({"LLM_CACHE_MB": "0", "LOG_LEVEL": "ERROR"}) as llm, backend(llm.port) as server:
        usual, _ = call_all(server.port, questions(CALLERS), CALLERS)
        processes = llm.processes()
        kill = threading.Timer(KILL_AFTER_S, lambda: [process.kill() for process in processes])
        kill.start()
        killed, _ = call_all(server.port, questions(CALLERS), CALLERS)
        kill.join()
    served = Counter(str(answer.json()["served_by"]) for answer in killed)
    study.note(f"at the kill: {dict(served)}")
    return {
        "longest_usual_s": _longest(usual),
        "longest_killed_s": _longest(killed),
        "longer_by_s": _longest(killed) - _longest(usual),
        "without_model": float(served["none"]),
        "by_local": float(served["local"]),
    }


def _longest(answers: Sequence[Answer]) -> float:
    return max(answer.seconds for answer in answers)


def measure(options: argparse.Namespace) -> Report:
    """Measure both, and compare with the targets."""
    found = Study({"backend": None})
    with backend(free_port()) as server:
        for _ in range(options.rounds):
            found.add("no service", "backend", first_answer(server))
    for _ in range(options.rounds):
        found.add("service killed", "backend", kill_under_questions())
    found.print_tables()

    def worst(case: str, metric: str) -> float:
        return max(found.values(case, "backend", metric))

    figures = [
        Figure("first answer, process and load included", worst("no service", "first_answer_s"), "s", "<=", 4),
        Figure("/livez p99 meanwhile", worst("no service", "livez_p99_ms"), "ms", "<=", 50),
        Figure("memory the API gained", worst("no service", "api_gained_mb"), "MB", "<=", 10),
        Figure("killed: answered without any model", worst("service killed", "without_model"), "", "<=", 0),
        Figure("killed: longest over the usual longest", worst("service killed", "longer_by_s"), "s", "<=", 5),
    ]
    return Report(figures, found.details())
