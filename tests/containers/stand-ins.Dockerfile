# Debian's Prometheus and Orthanc in the places of the images that docker-compose.yml names, for machines that reach
# no registry of images.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS prometheus
RUN apt-get update \
    && apt-get install --yes --no-install-recommends prometheus \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner 65534 --group 65534 /prometheus
USER 65534:65534
ENTRYPOINT ["prometheus"]

FROM ${BASE} AS orthanc
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/* /etc/orthanc/* \
    && mkdir -p /var/lib/orthanc/db \
    && chown -R root:root /var/lib/orthanc
ENTRYPOINT ["sh", "-c", "mkdir /tmp/configuration && cp /etc/orthanc/orthanc.json /run/secrets/orthanc.secret.json /tmp/configuration/ && echo '{\"Plugins\": [\"/usr/share/orthanc/plugins\"]}' > /tmp/configuration/plugins.json && exec Orthanc /tmp/configuration"]
