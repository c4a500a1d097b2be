"""``ListModels``: the tasks, and the weights that serve them."""

from entrust.contract import get_task
from entrust.sampling import SAMPLERS
from service.api.rpc.resources import duration
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.intake.gateway import Gateway
from service.pipeline import ModelState


async def list_models(gateway: Gateway, max_bytes: int) -> pb.ListModelsResponse:
    """List the tasks with their labels, modalities, weights, defaults and limits."""
    return pb.ListModelsResponse(
        models=[_model(gateway, max_bytes, state) for state in await gateway.pipeline.models()]
    )


def _model(gateway: Gateway, max_bytes: int, state: ModelState) -> pb.Model:
    task, card = get_task(state.task), state.card
    return pb.Model(
        task=task.name,
        title=task.title,
        ready=card is not None,
        reason=state.reason,
        version=card.version if card else "",
        digest=card.digest if card else "",
        contract=str(card.contract) if card else "",
        modalities=[
            pb.Modality(
                slug=m.slug,
                title=m.title,
                dicom_modality=m.dicom_modality,
                units=m.units,
                required=m.slug in task.required,
            )
            for m in task.modalities
        ],
        labels=[pb.Label(value=label.value, slug=label.slug, title=label.title) for label in task.labels],
        defaults=pb.SegmentationParameters(
            task=task.name,
            num_hypotheses=task.num_hypotheses,
            num_steps=task.num_steps,
            sampler=SAMPLERS[0],
            priority=pb.PRIORITY_ROUTINE,
        ),
        limits=pb.Limits(
            num_hypotheses=gateway.parameters.max_hypotheses,
            num_steps=gateway.parameters.max_steps,
            deadline=duration(gateway.parameters.max_duration_seconds),
            study_bytes=gateway.uploads.max_body_bytes,
            files=gateway.uploads.max_files,
            message_bytes=max_bytes,
        ),
    )
