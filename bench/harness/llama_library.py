"""llama.cpp's server as the library ``xllamacpp`` has it: ``python -m bench.harness.llama_library FILE PORT``."""

import sys
import time


def main() -> None:
    """Serve until the process is ended."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.port = sys.argv[1], int(sys.argv[2])
    params.n_ctx, params.n_parallel, params.kv_unified = 16384, 32, True
    params.cache_ram_mib, params.use_jinja, params.verbosity = 256, True, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
