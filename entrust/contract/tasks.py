"""The tasks that are served. Their modalities and grids are those on which their networks were fitted."""

from collections.abc import Mapping

from entrust.contract.task import Code, Label, Modality, Task
from entrust.errors import NotFoundError
from entrust.noise import NoiseModel
from entrust.schedule import Schedule

_SCT = "SCT"
_ABNORMAL = Code("49755003", _SCT, "Morphologically Abnormal Structure")  # categories: CID 7150
_ANATOMICAL = Code("91723000", _SCT, "Anatomical Structure")
_NEOPLASM = Code("108369006", _SCT, "Neoplasm")  # types: CID 7159 where it has one
_BRAIN = Code("12738006", _SCT, "Brain")
_HEART = Code("80891009", _SCT, "Heart")

SMOOTH = NoiseModel(smooth_share=1.0)
"""Of tasks whose denoiser draws whole hypotheses in two steps."""

ONCOLOGY = Task(
    name="oncology",
    title="Soft-tissue tumour on CT, FDG PET and T1 MR",
    modalities=(
        Modality("ct", "CT", "CT", "HU"),
        Modality("pet", "FDG PET", "PT", "SUV"),
        Modality("t1", "T1-weighted MR", "MR", "arbitrary"),
    ),
    labels=(Label(1, "gtv", "Gross tumour volume", _ABNORMAL, _NEOPLASM, (230, 75, 53)),),
    required=(),
    reference_order=("ct", "pet", "t1"),
    spacing_mm=(3.27, 2.0, 2.0),
    context_offsets=(-3, -1, 0, 1, 3),
    size_multiple=16,
    conditioning_features=32,
    schedule=Schedule(input_scale=0.1),
)

BRAIN = Task(
    name="brain",
    title="Glioma on T1, contrast-enhanced T1, T2 and FLAIR MR",
    modalities=(
        Modality("t1", "T1 MR", "MR", "arbitrary"),
        Modality("t1c", "T1 MR with contrast", "MR", "arbitrary"),
        Modality("t2", "T2 MR", "MR", "arbitrary"),
        Modality("flair", "FLAIR MR", "MR", "arbitrary"),
    ),
    labels=(
        # tumour and the oedema around it: more than the neoplasm
        Label(1, "wt", "Whole tumour", _ABNORMAL, Code("52988006", _SCT, "Lesion"), (240, 200, 60)),
        Label(2, "tc", "Tumour core", _ABNORMAL, _NEOPLASM, (230, 75, 53)),
        # SNOMED CT has no code for it; CID 7159 takes this one
        Label(3, "et", "Enhancing tumour", _ABNORMAL, Code("C113842", "NCIt", "Enhancing Lesion"), (70, 150, 240)),
    ),
    required=(),
    reference_order=("t1c", "flair", "t2", "t1"),
    spacing_mm=(4.0, 2.0, 2.0),
    context_offsets=(-1, 0, 1),
    size_multiple=16,
    conditioning_features=32,
    schedule=Schedule(input_scale=0.1),
    noise=SMOOTH,
    num_steps=2,
    eta=0.0,
    nested=True,
    anatomic_region=_BRAIN,
)

CARDIAC = Task(
    name="cardiac",
    title="Myocardial infarct on bSSFP, late enhancement and T2 MR",
    modalities=(
        Modality("bssfp", "bSSFP MR", "MR", "arbitrary"),
        Modality("lge", "Late enhancement MR", "MR", "arbitrary"),
        Modality("t2", "T2 MR", "MR", "arbitrary"),
    ),
    labels=(
        Label(
            1,
            "myocardium",
            "Left ventricular myocardium",
            _ANATOMICAL,
            Code("49848007", _SCT, "Left Ventricle Myocardium"),
            (90, 190, 120),
        ),
        Label(2, "oedema", "Myocardial oedema", _ABNORMAL, Code("79654002", _SCT, "Edema"), (240, 200, 60)),
        Label(3, "scar", "Myocardial scar", _ABNORMAL, Code("12402003", _SCT, "Scar tissue"), (230, 75, 53)),
    ),
    required=(),
    reference_order=("lge", "t2", "bssfp"),
    spacing_mm=(8.0, 1.6, 1.6),  # short-axis stacks are this thick
    context_offsets=(-1, 0, 1),
    size_multiple=16,
    conditioning_features=32,
    schedule=Schedule(input_scale=0.1),
    noise=SMOOTH,
    num_steps=2,
    eta=0.0,
    plane="reference",
    nested=True,
    anatomic_region=_HEART,
)

LESION = Task(
    name="lesion",
    title="Ischaemic stroke on DWI, ADC and FLAIR MR",
    modalities=(
        Modality("dwi", "Diffusion-weighted MR", "MR", "arbitrary"),
        Modality("adc", "ADC map", "MR", "arbitrary"),
        Modality("flair", "FLAIR MR", "MR", "arbitrary"),
    ),
    labels=(Label(1, "infarct", "Infarct", _ABNORMAL, Code("55641003", _SCT, "Infarct"), (230, 75, 53)),),
    required=(),
    reference_order=("dwi", "adc", "flair"),
    spacing_mm=(4.0, 2.0, 2.0),
    context_offsets=(-1, 0, 1),
    size_multiple=16,
    conditioning_features=32,
    schedule=Schedule(input_scale=0.1),
    noise=SMOOTH,
    num_steps=2,
    eta=0.0,
    anatomic_region=_BRAIN,
)

TASKS: Mapping[str, Task] = {task.name: task for task in (ONCOLOGY, BRAIN, CARDIAC, LESION)}


def get_task(name: str) -> Task:
    """Return the task called ``name``.

    Raises:
        NotFoundError: No such task.
    """
    try:
        return TASKS[name]
    except KeyError:
        raise NotFoundError("There is no task of that name.", fix=f"Use one of: {', '.join(TASKS)}.") from None
