"""What the chart's values may be: the source of ``values.schema.json``.

The block ``settings`` is made of the gateway's own settings, so that a misspelt or impossible one fails `helm lint`
instead of a pod. What the chart itself decides (addresses, folders), and what belongs in a Secret, is left out of it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Object = dict[str, Any]
"""Handed to Kubernetes as it is."""
Seconds = int
QUANTITY = r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class _Group(BaseModel):
    """A group of values in which an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Image(_Group):
    """A container image."""

    repository: str = Field(min_length=1)
    tag: str = Field(pattern=r"^[A-Za-z0-9._-]*$", json_schema_extra={"not": {"const": "latest"}})
    """The chart's appVersion when empty; never "latest", which is another program every day."""
    digest: str = Field(pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Pins the image whatever its tag says."""
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]


class Placeable(_Group):
    """Where pods run."""

    podAnnotations: dict[str, str]
    podLabels: dict[str, str]
    nodeSelector: dict[str, str]
    tolerations: list[Object]
    affinity: Object
    topologySpreadConstraints: list[Object]
    priorityClassName: str


class Gateway(Placeable):
    """The gateway's pods."""

    image: Image
    replicas: int = Field(ge=1, le=1000)
    """Pods while nothing scales them."""
    command: list[str] = Field(min_length=1)
    resources: Object
    workVolume: "Volume"
    """Holds uploads while their jobs live, and results until they expire, also for a container that starts again."""
    startupSeconds: Seconds = Field(ge=10, le=3600)
    """How long the process may take to listen."""
    preStopSeconds: Seconds = Field(ge=0, le=120)
    """How long a stopping pod still takes requests, while the cluster learns that it goes."""
    extraEnv: list[Object]
    extraVolumes: list[Object]
    extraVolumeMounts: list[Object]


class Volume(_Group):
    """A temporary volume."""

    sizeLimit: str = Field(pattern=QUANTITY)


class Service(_Group):
    """The gateway's Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: int = Field(ge=1, le=65535)
    annotations: dict[str, str]
    sessionAffinity: Literal["ClientIP", "None"]
    """A job lives in the pod that took it; with ClientIP its caller finds it again."""


class Rpc(_Group):
    """The gateway's gRPC face."""

    enabled: bool
    port: int = Field(ge=1024, le=65535)


class ArchiveVolume(_Group):
    """The volume with what comes from a PACS."""

    enabled: bool
    existingClaim: str = Field(pattern=rf"^$|{NAME}")
    """A PersistentVolumeClaim that is there already; the chart makes one when empty."""
    size: str = Field(pattern=QUANTITY)
    """Of the claim that the chart makes."""
    storageClassName: str


class Dimse(_Group):
    """The gateway's storage SCP; it needs an archive."""

    enabled: bool
    port: int = Field(ge=1024, le=65535)


class SecretSetting(_Group):
    """A setting whose value lies in a Secret."""

    setting: str = Field(pattern=r"^ENTRUST_[A-Z]+__[A-Z0-9_]+$")
    name: str = Field(pattern=NAME)
    """The Secret."""
    key: str = Field(min_length=1)


class SecretVolume(_Group):
    """A Secret mounted as files."""

    name: str = Field(pattern=NAME)
    """The Secret."""
    mountPath: str = Field(pattern=r"^/")


class SharedMemory(_Group):
    """Tensors between the containers of one pod."""

    enabled: bool
    """Only a sidecar can share memory; elsewhere it is off whatever this says."""
    sizeLimit: str = Field(pattern=QUANTITY)


class Claim(_Group):
    """A PersistentVolumeClaim."""

    claimName: str
    subPath: str


class Bucket(_Group):
    """A model repository in S3, read by Triton itself."""

    url: str = Field(pattern=r"^(s3://.+)?$")
    """s3://bucket/path, or s3://https://host:port/bucket/path."""
    region: str
    secretName: str = Field(pattern=rf"^$|{NAME}")
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty where the service account has the right."""


class Models(_Group):
    """Where the model repository comes from."""

    source: Literal["image", "pvc", "s3"]
    path: str = Field(pattern=r"^/")
    """Where it lies in Triton's container, and in the image that carries it."""
    image: Image | None = None
    """With source image: another image to copy it from; Triton's own has it when null."""
    pvc: Claim
    s3: Bucket


class TensorRt(_Group):
    """Plans built for the GPU at hand before Triton starts."""

    enabled: bool
    image: Image
    """Carries the exporter, the weights, and the TensorRT version of Triton's image."""
    task: str
    """One task alone; every task with weights in the image when empty."""
    resources: Object


class Gpu(_Group):
    """GPUs for Triton."""

    count: int = Field(ge=0, le=16)
    resource: str = Field(min_length=1)


class Triton(Placeable):
    """The model server."""

    placement: Literal["sidecar", "separate"]
    """Beside the gateway in its pod, sharing memory; or in pods of its own, over gRPC."""
    image: Image
    replicas: int = Field(ge=1, le=1000)
    """Pods where it is separate."""
    command: list[str] = Field(min_length=1)
    backendDirectory: str = Field(pattern=r"^/")
    extraArgs: list[str]
    resources: Object
    startupSeconds: Seconds = Field(ge=10, le=7200)
    """How long loading all models may take."""
    exitSeconds: Seconds = Field(ge=1, le=300)
    """How long it may take to stop."""
    sharedMemory: SharedMemory
    models: Models
    tensorrt: TensorRt
    gpu: Gpu
    runtimeClassName: str


class Prometheus(_Group):
    """Where KEDA asks."""

    serverAddress: str = Field(pattern=r"^https?://.+")
    authenticationRef: str = Field(pattern=rf"^$|{NAME}")
    """A TriggerAuthentication, where Prometheus asks who calls."""


class Autoscaling(_Group):
    """How many pods."""

    mode: Literal["none", "hpa", "keda"]
    minReplicas: int = Field(ge=1, le=1000)
    maxReplicas: int = Field(ge=1, le=1000)
    queueDepthJobs: int = Field(ge=1, le=10_000)
    """Waiting jobs per pod from which on there are too few pods."""
    stepLatencySeconds: float = Field(gt=0, le=3600)
    """95th percentile of a sampling step from which on there are too few pods, while jobs wait."""
    prometheus: Prometheus


class DisruptionBudget(_Group):
    """How many pods may be moved at a time."""

    enabled: bool
    maxUnavailable: int | str = Field(
        json_schema_extra={"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[1-9]\d?%$"}]}
    )


class NetworkPolicy(_Group):
    """Who reaches whom."""

    enabled: bool
    clients: list[Object]
    """Peers that may call the gateway."""
    monitoring: list[Object]
    """Peers that may scrape."""
    dns: list[Object]
    """Peers that resolve names."""
    extraEgress: list[Object]
    """Rules for what else pods may reach, such as an S3 endpoint."""


class Monitor(_Group):
    """A resource that an operator or a sidecar looks for by its labels."""

    enabled: bool
    labels: dict[str, str]


class ServiceMonitor(Monitor):
    """How Prometheus scrapes."""

    interval: str = Field(pattern=r"^\d+(ms|s|m)$")


class Dashboards(Monitor):
    """Grafana's dashboards."""

    annotations: dict[str, str]


class Monitoring(_Group):
    """What watches the service."""

    serviceMonitor: ServiceMonitor
    prometheusRule: Monitor
    dashboards: Dashboards


class ServiceAccount(_Group):
    """Whom the pods act as; no token is mounted."""

    create: bool
    name: str
    annotations: dict[str, str]


class Identity(_Group):
    """The user that the processes run as; one for both containers, because shared memory has an owner."""

    runAsUser: int = Field(ge=1)
    runAsGroup: int = Field(ge=1)


class Values(_Group):
    """Values of the chart."""

    nameOverride: str
    fullnameOverride: str
    commonLabels: dict[str, str]
    imagePullSecrets: list[Object]
    identity: Identity
    gateway: Gateway
    service: Service
    rpc: Rpc
    archive: ArchiveVolume
    dimse: Dimse
    secretSettings: list[SecretSetting]
    """Settings by reference to Secrets; no value of a secret ever stands in these files."""
    secretVolumes: list[SecretVolume]
    triton: Triton
    autoscaling: Autoscaling
    podDisruptionBudget: DisruptionBudget
    networkPolicy: NetworkPolicy
    monitoring: Monitoring
    serviceAccount: ServiceAccount
