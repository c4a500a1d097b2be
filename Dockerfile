# Three images of one file: `docker build --target gateway .`, `--target triton-cpu`, `--target exporter`.
#
# Python packages have the versions of requirements.lock. A pip configuration of your own (a mirror, wheels) is passed as
# the secret `pip` and leaves no trace: `--secret id=pip,src=pip.conf`. Debian packages come from where BASE has them.
# Every image runs as 10001:10001 with a read-only root; what it writes goes to /tmp and the folders named in
# docs/deployment.md.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpython3.11 python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/*.log /var/log/apt \
    && groupadd --gid 10001 entrust \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin entrust
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1


FROM runtime AS libraries
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_CONFIG_FILE=/run/secrets/pip \
    PIP_CONSTRAINT=/source/requirements.lock \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml requirements.lock deploy/containers/requirements_of.py ./
# before the project, because they change less often
RUN --mount=type=secret,id=pip \
    python3 -m venv /opt/entrust \
    && python3 requirements_of.py > /tmp/requirements.txt \
    && /opt/entrust/bin/pip install --quiet --requirement /tmp/requirements.txt


FROM libraries AS builder
COPY . .
RUN --mount=type=secret,id=pip \
    /opt/entrust/bin/pip install --quiet --no-deps . \
    && rm -rf build ./*.egg-info


FROM builder AS gateway-builder
RUN sh deploy/containers/slim.sh /opt/entrust


FROM runtime AS gateway
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="EnTrust Serve gateway" \
      org.opencontainers.image.description="Multi-modality segmentation that says where and why it may be wrong" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/entrust
ENV PATH=/opt/entrust/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    ENTRUST_REST__HOST=0.0.0.0 \
    ENTRUST_RPC__HOST=0.0.0.0 \
    ENTRUST_TRITON__URL=triton:8001 \
    ENTRUST_JOBS__WORK_FOLDER=/var/lib/entrust/work
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/opt/entrust/health.py"]
ENTRYPOINT ["entrust"]
CMD ["serve"]
COPY deploy/containers/gateway_health.py /opt/entrust/health.py
COPY --from=gateway-builder /opt/entrust /opt/entrust


FROM builder AS triton-builder
# installs the server and sends a tensor through it; the link to our backend becomes files of the image
RUN --mount=type=secret,id=pip \
    env --unset=PIP_CONSTRAINT /opt/entrust/bin/python -m service.triton.install --home /opt/triton \
    && rm /opt/triton/server/pytriton/tritonserver/backends/onnxruntime /opt/triton/.lock \
    && cp -R deploy/triton/backends/onnxruntime /opt/triton/server/pytriton/tritonserver/backends/ \
    && chmod -R a+rX /opt/triton


FROM runtime AS triton-cpu
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="EnTrust Serve Triton (CPU)" \
      org.opencontainers.image.description="NVIDIA's Triton from the nvidia-pytriton wheel with the models of EnTrust Serve" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause"
# the models' own environment comes first: Triton's stubs take their Python packages from there
ENV PATH=/opt/triton/venv/bin:/opt/triton/server/pytriton/tritonserver/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONNOUSERSITE=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=20s --start-period=60s --retries=3 CMD ["python3", "/opt/triton/health.py"]
ENTRYPOINT ["sh", "/opt/triton/start.sh", "shared"]
# no model control over the network: the repository is what it is, and a broken model ends the container
CMD ["tritonserver", \
     "--model-repository=/models", \
     "--backend-directory=/opt/triton/server/pytriton/tritonserver/backends", \
     "--model-control-mode=none", \
     "--strict-readiness=true", \
     "--disable-auto-complete-config", \
     "--exit-timeout-secs=5", \
     "--backend-config=python,shm-region-prefix-name=entrust_triton_", \
     "--grpc-address=0.0.0.0", "--grpc-port=8001", \
     "--http-address=0.0.0.0", "--http-port=8000", \
     "--metrics-address=0.0.0.0", "--metrics-port=8002", \
     "--metrics-config=summary_latencies=true", \
     "--allow-gpu-metrics=false", \
     "--cuda-memory-pool-byte-size=0:0", "--pinned-memory-pool-byte-size=0"]
COPY deploy/triton/health.py deploy/helm/entrust/files/canaries.json deploy/helm/entrust/files/triton/ /opt/triton/
COPY model_repository /models
COPY --from=triton-builder /opt/triton /opt/triton


FROM libraries AS exporter-builder
# "export gpu" adds TensorRT, which builds plans on the GPU that will run them
ARG EXTRAS=export
RUN --mount=type=secret,id=pip \
    python3 requirements_of.py ${EXTRAS} > /tmp/requirements.txt \
    && /opt/entrust/bin/pip install --quiet --requirement /tmp/requirements.txt
COPY . .
RUN --mount=type=secret,id=pip \
    /opt/entrust/bin/pip install --quiet --no-deps . \
    && sh deploy/containers/slim.sh /opt/entrust


FROM runtime AS exporter
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="EnTrust Serve exporter" \
      org.opencontainers.image.description="Released weights to a Triton model repository, with numbers of parity" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install --directory --owner 10001 --group 10001 /models
ENV PATH=/opt/entrust/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["python", "-m", "export"]
CMD ["--weights", "/weights", "--out", "/models"]
COPY weights /weights
COPY --from=exporter-builder /opt/entrust /opt/entrust
