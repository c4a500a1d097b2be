"""Results on the wire: one file, or all of them as a zip, as the Accept header prefers."""

import asyncio
import io
import zipfile
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from entrust.errors import ConflictError, NotFoundError
from service import audit
from service.api.http.negotiation import negotiate
from service.api.rest.problems import plain_problem, problem_of, respond
from service.jobs.job import Job, JobState, Product
from service.jobs.runner import JobRunner
from service.observability.metrics import Metrics

ZIP = "application/zip"
FILE_OF_TYPE: Mapping[str, str] = {
    ZIP: "",
    "application/json": "summary.json",
    "image/png": "montage.png",
    "application/dicom": "segmentation.dcm",
    "application/x-nifti": "mask.nii.gz",
    "application/gzip": "mask.nii.gz",
}
"""What each media type stands for; the first one is the default."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first moment: equal content, equal bytes."""


def not_acceptable(request_id: str, offered: Sequence[str]) -> Response:
    """Return the refusal of an Accept header that nothing satisfies."""
    return respond(
        plain_problem(
            406, "No result has a media type that the Accept header allows.",
            fix=f"Accept one of: {', '.join(offered)}.", request_id=request_id,
        )
    )  # fmt: skip


async def answer_results(runner: JobRunner, metrics: Metrics, job: Job, accept: str, request_id: str) -> Response:
    """Return the results of an ended job, or the problem that it ended with, which counts as told to a caller.

    Raises:
        ConflictError: The job has not ended.
    """
    if not job.state.final:
        raise ConflictError(
            f"The job is {job.state}.", fix="Follow its events, or ask again later.", details={"state": job.state.value}
        )
    if job.failure is not None:
        metrics.problem(job.failure.kind.value)
        return respond(problem_of(job.failure, request_id))
    names = {product.name for product in job.products}
    offered = [media_type for media_type, name in FILE_OF_TYPE.items() if not name or name in names]
    chosen = negotiate(accept, offered)
    if chosen is None:
        return not_acceptable(request_id, offered)
    if chosen != ZIP:
        return answer_file(await runner.store.product(job.id, FILE_OF_TYPE[chosen]), job, chosen)
    products = [await runner.store.product(job.id, product.name) for product in job.products]
    content = await asyncio.to_thread(pack, products)
    return _response(content, ZIP, "entrust-results.zip", job)


def answer_file(product: Product, job: Job, media_type: str | None = None) -> Response:
    """Return one file of the results."""
    return _response(product.content, media_type or product.media_type, product.name, job)


async def find_product(runner: JobRunner, job: Job, name: str) -> Product:
    """Return one file of a job's results by its name.

    Raises:
        ConflictError: The job has not ended.
        NotFoundError: It has no such file.
    """
    if not job.state.final:
        raise ConflictError(f"The job is {job.state}.", fix="Follow its events, or ask again later.")
    if job.state is not JobState.SUCCEEDED:
        raise NotFoundError("The job has no results.", fix="Read the job: it says why.")
    return await runner.store.product(job.id, name)


def pack(products: Sequence[Product]) -> bytes:
    """Return a zip of the files; equal files give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for product in products:
            entry = zipfile.ZipInfo(product.name, _EPOCH)
            compressed = product.name.endswith((".gz", ".png"))
            entry.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, product.content, compresslevel=1)
    return out.getvalue()


def _response(content: bytes, media_type: str, name: str, job: Job) -> Response:
    audit.record(audit.Event(audit.What.EXPORTED, hop=audit.Hop.DELIVERED, sending=True, job_id=job.id))
    return Response(
        content,
        media_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Location": f"/v1/jobs/{job.id}/results",
            "Vary": "Accept",
        },
    )
