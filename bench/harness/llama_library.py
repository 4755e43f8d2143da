"""llama.cpp's server as the library ``xllamacpp`` has it: ``python -m bench.harness.llama_library FILE PORT JSON``.

The JSON object sets fields of ``CommonParams`` (``cpuparams.n_threads`` for a nested one, ``Q8_0`` for a type).
"""

import json
import sys
import time
from collections.abc import Mapping

DEFAULTS: Mapping[str, object] = {
    "n_ctx": 8192,
    "n_parallel": 16,
    "kv_unified": True,
    "cache_ram_mib": 256,
    "use_jinja": True,
    "verbosity": 1,
    "cpuparams.n_threads": 2,
    "cpuparams_batch.n_threads": 2,
}


def main() -> None:
    """Serve until the process is ended."""
    import xllamacpp

    model, port, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    params = xllamacpp.CommonParams()
    params.model.path, params.port = model, port
    for name, value in {**DEFAULTS, **settings}.items():
        *path, last = name.split(".")
        owner = params
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, _typed(xllamacpp, last, value))
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


def _typed(library: object, name: str, value: object) -> object:
    if name.startswith("cache_type"):
        return getattr(library.ggml_type, f"GGML_TYPE_{value}")  # type: ignore[attr-defined]
    if name == "types" and isinstance(value, list):
        kinds = library.common_speculative_type  # type: ignore[attr-defined]
        return [getattr(kinds, f"COMMON_SPECULATIVE_TYPE_{kind}") for kind in value]
    return value


if __name__ == "__main__":
    main()
