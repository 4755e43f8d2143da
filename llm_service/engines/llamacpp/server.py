"""llama.cpp's server in this process: loads a GGUF file, listens on loopback, reports its progress."""

import contextlib
import hashlib
import http.client
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import xllamacpp

from config.settings import Settings
from engines.base import Heartbeat, ModelLoadError
from engines.llamacpp.endpoint import SAMPLERS, Endpoint
from engines.llamacpp.memory import COPIES_SHARE, KvPlan, plan_kv
from engines.llamacpp.slots import LANES
from engines.llamacpp.vocabulary import read_vocabulary
from models.artifacts import ModelArtifact
from models.fingerprint import HEX_DIGITS, model_fingerprint
from models.hardware import available_memory_bytes, memory_bytes
from models.shape import read_shape

CPU_STEP_TOKENS, GPU_STEP_TOKENS = 64, 512
"""Prompt tokens of one step. A short question waits for the running step, so on a processor steps are short."""
ERRORS_ONLY = 1
"""llama.cpp's warnings quote prompts."""
FOLDER_PREFIX = "llm-service-slots-"
PROBE_TIMEOUT_S = 5.0
WARM_UP_TIMEOUT_S = 600.0
_METRIC = re.compile(r"^llamacpp:(\w+) (\S+)$", re.MULTILINE)

logger = logging.getLogger(__name__)


class LlamaCppServer:
    """A loaded model and its server; ``endpoint`` is where requests go. Raises ``ModelLoadError``."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        shape = read_shape(artifact)
        if shape.chat_template is None:
            raise ModelLoadError(f"{artifact.model} has no chat template: choose an instruction-tuned model")
        on_gpu = _uses_gpu(settings)
        step_tokens = settings.llm_max_batched_tokens or (GPU_STEP_TOKENS if on_gpu else CPU_STEP_TOKENS)
        plan = plan_kv(shape, settings.llm_memory_gb, settings.llm_max_batch, memory_bytes())
        _check_memory(artifact, plan, on_gpu=on_gpu)
        slots = settings.llm_max_batch + LANES
        key = secrets.token_urlsafe(32)
        self._folder = _private_folder()
        parameters = _parameters(artifact, plan, slots, step_tokens, key, on_gpu=on_gpu)
        parameters.slot_save_path = f"{self._folder}{os.sep}"
        try:
            self._server = xllamacpp.Server(parameters)
        except Exception as error:  # of a kind that the library does not name
            self.close()
            raise ModelLoadError(
                f"llama.cpp could not load {artifact.path.name}; its reason is in the log. The file is damaged, has an "
                f"unreadable chat template, is of an architecture that this version does not know, or larger than the "
                f"memory: fetch it again or choose another"
            ) from error
        address = self._server.listening_address
        self._host = urlsplit(address).netloc
        self._key = key
        self.endpoint = Endpoint(
            url=f"{address}/v1",
            api_key=key,
            slots=slots,
            kv_tokens=plan.tokens,
            step_tokens=step_tokens,
            copies_tokens=int(plan.tokens * COPIES_SHARE),
            folder=str(self._folder),
            vocabulary=read_vocabulary(artifact.path),
        )
        self.info = artifact.loaded(
            "llamacpp",
            device="gpu" if on_gpu else "cpu",
            context_length=plan.context_length,
            fingerprint=_fingerprint(artifact),
        )
        self._artifact = artifact
        self._template = shape.chat_template
        self._kv_tokens = plan.tokens
        self._decodes = 0.0

    def warm_up(self) -> None:
        """Check the chat template and answer a short question; raises ``ModelLoadError``."""
        if json.loads(self._call("GET", "/props"))["chat_template"].strip() != self._template.strip():
            raise ModelLoadError(f"{self._artifact.model}: its chat template cannot be read; choose another file")
        body = {"messages": [{"role": "user", "content": "1 2 3"}], "max_tokens": 4, "temperature": 0}
        try:
            self._call("POST", "/v1/chat/completions", body, timeout_s=WARM_UP_TIMEOUT_S)
        except OSError as error:
            raise ModelLoadError(f"{self._artifact.model} does not answer: {error}") from error

    def heartbeat(self) -> Heartbeat | None:
        """Ask the server for its counters; ``None`` when it does not answer, or has requests and makes no progress."""
        try:
            metrics = {name: float(value) for name, value in _METRIC.findall(self._call("GET", "/metrics"))}
            running, decodes = metrics["requests_processing"], metrics["n_decode_total"]
            slots = json.loads(self._call("GET", "/slots")) if running else []
        except (OSError, ValueError, KeyError) as error:
            logger.warning("llama.cpp's server does not respond: %s", type(error).__name__)
            return None
        steps, self._decodes = int(decodes - self._decodes), decodes
        if running and not steps:
            return None
        held = sum(slot.get("n_prompt_tokens", 0) for slot in slots if slot["is_processing"])
        together = max(1, round(metrics["n_busy_slots_per_decode"]))
        return Heartbeat(min(1.0, held / self._kv_tokens), {together: steps} if steps > 0 else {})

    def close(self) -> None:
        """Delete the copies of conversations."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, method: str, path: str, body: Any = None, timeout_s: float = PROBE_TIMEOUT_S) -> str:
        with contextlib.closing(http.client.HTTPConnection(self._host, timeout=timeout_s)) as connection:
            headers = {"Authorization": f"Bearer {self._key}", "Connection": "close"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read().decode("utf-8", "replace")
            if response.status != http.client.OK:
                raise OSError(f"status {response.status}")
            return content


def _uses_gpu(settings: Settings) -> bool:
    if settings.llm_device_map == "cpu":
        return False
    kinds = xllamacpp.ggml_backend_dev_type
    found = any(
        device["type"] in (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
        for device in xllamacpp.get_device_info()
    )
    if settings.llm_device_map == "cuda" and not found:
        raise ModelLoadError(
            "LLM_DEVICE_MAP is cuda, but the installed xllamacpp finds no GPU: install its CUDA wheel "
            "(docs/operations.md) or set LLM_DEVICE_MAP=auto"
        )
    return found


def _check_memory(artifact: ModelArtifact, plan: KvPlan, *, on_gpu: bool) -> None:
    """Log the memory; refuse a model for which the system would kill this process."""
    weights = artifact.path.stat().st_size
    logger.info(
        "memory: weights %.2f GB, KV cache %.2f GB for %d tokens, copies of conversations up to %.2f GB",
        weights / 1e9,
        plan.bytes / 1e9,
        plan.tokens,
        plan.bytes * COPIES_SHARE / 1e9,
    )
    needed, available = plan.bytes + weights, available_memory_bytes()
    if not on_gpu and needed > available:
        raise ModelLoadError(
            f"{artifact.model} needs {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are available: "
            f"set LLM_MEMORY_GB to a smaller KV cache, or choose a smaller model",
            fatal=False,
        )


def _parameters(
    artifact: ModelArtifact, plan: KvPlan, slots: int, step_tokens: int, key: str, *, on_gpu: bool
) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(artifact.path)
    # Read, not mapped: llama.cpp repacks weights of 4 bits, and mapped pages of the file would stay beside the copy.
    parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    parameters.verbosity = ERRORS_ONLY
    # Loopback, a free port, a key that only the parent has.
    parameters.port, parameters.api_keys, parameters.ui = 0, [key], False
    parameters.endpoint_metrics = parameters.endpoint_slots = True
    parameters.use_jinja = True
    # One KV cache for all slots, sized by this service; the rest of a prompt cache would be a second copy of it.
    parameters.n_parallel, parameters.kv_unified, parameters.n_ctx = slots, True, plan.tokens
    parameters.cache_ram_mib, parameters.fit_params, parameters.ctx_shift = 0, False, False
    # The waiting between two steps is silence; a comment would hide a hung server.
    parameters.sse_ping_interval, parameters.sleep_idle_seconds = -1, -1
    parameters.n_batch = parameters.n_ubatch = step_tokens
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _threads()
    parameters.n_gpu_layers = 999 if on_gpu else 0
    # The distribution is the model's: temperature and nucleus as in the other engines, nothing by default.
    sampling = parameters.sampling
    sampling.samplers, sampling.top_k, sampling.min_p = SAMPLERS, 0, 0.0
    return parameters


def _private_folder() -> Path:
    """Make the folder for copies, in memory where that is possible; remove those of processes that died."""
    parent = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108
    for left in parent.glob(f"{FOLDER_PREFIX}*"):
        owner = left.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=parent))


def _threads() -> int:
    """Return the physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def _fingerprint(artifact: ModelArtifact) -> str:
    parts = (model_fingerprint(artifact.path), "llamacpp", version("xllamacpp"), SAMPLERS, "kv-f16")
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:HEX_DIGITS]
