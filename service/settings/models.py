"""Where the models run, and what is asked of them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.settings.group import MEBIBYTE, Group


class TritonSettings(Group):
    """Where the models run.

    Attributes:
        url: ``host:port`` of an external Triton's gRPC; empty starts the embedded one.
        shared_memory: ``auto`` uses system shared memory where the server shares this host, ``off`` never does.
        repository: Model repository of the embedded server; the project's own when empty.
        tasks: Tasks that the embedded server loads, separated by commas: each takes memory for its models. Every one of
            which the repository holds models when empty.
        home: Folder with the embedded server's files and environment; the project's own when empty.
        start_timeout_seconds: How long the embedded server may take to become ready.
        metrics_port: Port of the embedded server's own metrics, for Prometheus; 0 picks a free one.
        precision: Label of the per-step metrics: what the deployed engines compute in.
    """

    url: str = Field(default="", pattern=r"^$|^[A-Za-z0-9._\-\[\]:]+:\d{1,5}$")
    shared_memory: Literal["auto", "off"] = "auto"
    repository: Path | None = None
    tasks: str = Field(default="", pattern=r"^[a-z, ]*$")
    home: Path | None = None
    start_timeout_seconds: float = Field(default=120.0, gt=0.0, le=3600.0)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"


class InferenceSettings(Group):
    """What a caller may ask of the sampling loop.

    Attributes:
        max_hypotheses: Largest K.
        max_steps: Largest S.
        chunk: Slices in one call to Triton; fixed, so that a study's bits do not depend on what runs beside it.
    """

    max_hypotheses: int = Field(default=32, ge=1, le=256)
    max_steps: int = Field(default=64, ge=1, le=1000)
    chunk: int = Field(default=8, ge=1, le=64)


class IngestSettings(Group):
    """Limits on what is unpacked and decoded.

    Attributes:
        max_files: Files in a folder or archive.
        max_bytes: Size of all files together before decoding.
        max_uncompressed_bytes: Size of an archive's content.
        max_ratio: Largest ratio of content to archive.
        max_voxels: Voxels of one series.
    """

    max_files: int = Field(default=20_000, ge=1, le=200_000)
    max_bytes: int = Field(default=4096 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)
    max_uncompressed_bytes: int = Field(default=8192 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)
    max_ratio: float = Field(default=200.0, ge=1.0, le=10_000.0)
    max_voxels: int = Field(default=512 * 512 * 2048, ge=1, le=2**33)


class SelectionSettings(Group):
    """Which task, and which series plays which role.

    Attributes:
        rules: Rules file (docs/selection.md); the program's own when empty.
    """

    rules: Path | None = None
