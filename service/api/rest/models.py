"""``GET /v1/models``: the tasks, and the weights that serve them."""

from fastapi import APIRouter

from entrust.contract import get_task
from entrust.sampling import SAMPLERS
from service.api.rest.gateway import Behind
from service.api.rest.resources import LabelResource, ModalityResource, ModelResource, ModelsResource
from service.intake.gateway import Gateway
from service.pipeline import ModelState

router = APIRouter(tags=["models"])


@router.get("/v1/models", response_model=ModelsResource)
async def read_models(gateway: Behind) -> ModelsResource:
    """List the tasks with their labels, modalities, weights, defaults and limits."""
    return ModelsResource(models=[_model(gateway, state) for state in await gateway.pipeline.models()])


def _model(gateway: Gateway, state: ModelState) -> ModelResource:
    task, card = get_task(state.task), state.card
    return ModelResource(
        task=task.name,
        title=task.title,
        ready=card is not None,
        reason=state.reason,
        version=card.version if card else "",
        digest=card.digest if card else "",
        contract=card.contract if card else "",
        modalities=[
            ModalityResource(
                slug=m.slug,
                title=m.title,
                dicom_modality=m.dicom_modality,
                units=m.units,
                required=m.slug in task.required,
            )
            for m in task.modalities
        ],
        labels=[LabelResource(value=label.value, slug=label.slug, title=label.title) for label in task.labels],
        defaults={
            "num_hypotheses": task.num_hypotheses,
            "num_steps": task.num_steps,
            "seed": 0,
            "sampler": SAMPLERS[0],
            "eta": task.eta,
        },
        limits={
            "num_hypotheses": gateway.parameters.max_hypotheses,
            "num_steps": gateway.parameters.max_steps,
            "deadline_seconds": gateway.parameters.max_duration_seconds,
            "body_bytes": gateway.uploads.max_body_bytes,
            "files": gateway.uploads.max_files,
        },
    )
