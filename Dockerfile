# The image of every process of Thoraq; docker-compose.yml says which process a container runs. LOCK chooses what is
# installed beside Thoraq itself:
#   requirements.lock            every process (the default)
#   requirements-dashboard.lock  the dashboard and the commands that need no network: about a tenth of the size
#   requirements-gpu.lock        every process, with CUDA for hosts with an NVIDIA GPU
FROM python:3.12-slim-bookworm AS build
ARG LOCK=requirements.lock
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/thoraq
COPY ${LOCK} /src/locked.txt
RUN /opt/thoraq/bin/pip install --require-hashes -r /src/locked.txt
COPY pyproject.toml README.md LICENSE /src/
COPY worker /src/worker
COPY dashboard /src/dashboard
COPY model_training /src/model_training
COPY migrations /src/migrations
RUN /opt/thoraq/bin/pip install --no-deps --no-build-isolation /src

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin thoraq && install -d -o thoraq -g thoraq /data
COPY --from=build /opt/thoraq /opt/thoraq
ENV PATH=/opt/thoraq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    THORAQ_DATA_DIR=/data \
    TF_CPP_MIN_LOG_LEVEL=2
USER thoraq
WORKDIR /data
VOLUME /data
ENTRYPOINT ["thoraq"]
CMD ["--help"]
