import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_ROUTINE: _ClassVar[Priority]
    PRIORITY_STAT: _ClassVar[Priority]

class ExtraResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXTRA_RESULT_UNSPECIFIED: _ClassVar[ExtraResult]
    EXTRA_RESULT_LABELMAP: _ClassVar[ExtraResult]
    EXTRA_RESULT_ATTRIBUTION: _ClassVar[ExtraResult]
    EXTRA_RESULT_RTSTRUCT: _ClassVar[ExtraResult]
    EXTRA_RESULT_SECONDARY_CAPTURE: _ClassVar[ExtraResult]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_ROUTINE: Priority
PRIORITY_STAT: Priority
EXTRA_RESULT_UNSPECIFIED: ExtraResult
EXTRA_RESULT_LABELMAP: ExtraResult
EXTRA_RESULT_ATTRIBUTION: ExtraResult
EXTRA_RESULT_RTSTRUCT: ExtraResult
EXTRA_RESULT_SECONDARY_CAPTURE: ExtraResult
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState

class SegmentationParameters(_message.Message):
    __slots__ = ("task", "num_hypotheses", "num_steps", "seed", "sampler", "assignment", "priority", "deadline", "extra_results")
    class AssignmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_FIELD_NUMBER: _ClassVar[int]
    NUM_HYPOTHESES_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_RESULTS_FIELD_NUMBER: _ClassVar[int]
    task: str
    num_hypotheses: int
    num_steps: int
    seed: int
    sampler: str
    assignment: _containers.ScalarMap[str, str]
    priority: Priority
    deadline: _duration_pb2.Duration
    extra_results: _containers.RepeatedScalarFieldContainer[ExtraResult]
    def __init__(self, task: _Optional[str] = ..., num_hypotheses: _Optional[int] = ..., num_steps: _Optional[int] = ..., seed: _Optional[int] = ..., sampler: _Optional[str] = ..., assignment: _Optional[_Mapping[str, str]] = ..., priority: _Optional[_Union[Priority, str]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., extra_results: _Optional[_Iterable[_Union[ExtraResult, str]]] = ...) -> None: ...

class InputFile(_message.Message):
    __slots__ = ("modality", "content")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    modality: str
    content: bytes
    def __init__(self, modality: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class SegmentRequest(_message.Message):
    __slots__ = ("parameters", "files", "detached")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    parameters: SegmentationParameters
    files: _containers.RepeatedCompositeFieldContainer[InputFile]
    detached: bool
    def __init__(self, parameters: _Optional[_Union[SegmentationParameters, _Mapping]] = ..., files: _Optional[_Iterable[_Union[InputFile, _Mapping]]] = ..., detached: _Optional[bool] = ...) -> None: ...

class SegmentResponse(_message.Message):
    __slots__ = ("job", "results")
    JOB_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    job: Job
    results: _containers.RepeatedCompositeFieldContainer[ResultFile]
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., results: _Optional[_Iterable[_Union[ResultFile, _Mapping]]] = ...) -> None: ...

class SegmentStreamStart(_message.Message):
    __slots__ = ("parameters", "detached")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    parameters: SegmentationParameters
    detached: bool
    def __init__(self, parameters: _Optional[_Union[SegmentationParameters, _Mapping]] = ..., detached: _Optional[bool] = ...) -> None: ...

class InputFileStart(_message.Message):
    __slots__ = ("modality",)
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    modality: str
    def __init__(self, modality: _Optional[str] = ...) -> None: ...

class SegmentStreamRequest(_message.Message):
    __slots__ = ("start", "file", "data")
    START_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    start: SegmentStreamStart
    file: InputFileStart
    data: bytes
    def __init__(self, start: _Optional[_Union[SegmentStreamStart, _Mapping]] = ..., file: _Optional[_Union[InputFileStart, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class SegmentStreamResponse(_message.Message):
    __slots__ = ("job", "result")
    JOB_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    job: Job
    result: ResultChunk
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., result: _Optional[_Union[ResultChunk, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id", "after_version", "include_results", "names")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESULTS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_version: int
    include_results: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job_id: _Optional[str] = ..., after_version: _Optional[int] = ..., include_results: _Optional[bool] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("job", "result")
    JOB_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    job: Job
    result: ResultChunk
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., result: _Optional[_Union[ResultChunk, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "parameters", "state", "version", "created_at", "started_at", "finished_at", "progress", "problem", "results")
    ID_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    parameters: SegmentationParameters
    state: JobState
    version: int
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    progress: Progress
    problem: Problem
    results: _containers.RepeatedCompositeFieldContainer[ResultInfo]
    def __init__(self, id: _Optional[str] = ..., parameters: _Optional[_Union[SegmentationParameters, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., problem: _Optional[_Union[Problem, _Mapping]] = ..., results: _Optional[_Iterable[_Union[ResultInfo, _Mapping]]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "step", "of")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    stage: str
    step: int
    of: int
    def __init__(self, stage: _Optional[str] = ..., step: _Optional[int] = ..., of: _Optional[int] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("kind", "detail", "fix", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    detail: str
    fix: str
    details: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[str] = ..., detail: _Optional[str] = ..., fix: _Optional[str] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ResultInfo(_message.Message):
    __slots__ = ("name", "media_type", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    media_type: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., media_type: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ResultFile(_message.Message):
    __slots__ = ("info", "content")
    INFO_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    info: ResultInfo
    content: bytes
    def __init__(self, info: _Optional[_Union[ResultInfo, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class ResultChunk(_message.Message):
    __slots__ = ("info", "offset_bytes", "data")
    INFO_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    info: ResultInfo
    offset_bytes: int
    data: bytes
    def __init__(self, info: _Optional[_Union[ResultInfo, _Mapping]] = ..., offset_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("task", "title", "ready", "reason", "version", "digest", "contract", "modalities", "labels", "defaults", "limits")
    TASK_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    MODALITIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    task: str
    title: str
    ready: bool
    reason: str
    version: str
    digest: str
    contract: str
    modalities: _containers.RepeatedCompositeFieldContainer[Modality]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    defaults: SegmentationParameters
    limits: Limits
    def __init__(self, task: _Optional[str] = ..., title: _Optional[str] = ..., ready: _Optional[bool] = ..., reason: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., contract: _Optional[str] = ..., modalities: _Optional[_Iterable[_Union[Modality, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., defaults: _Optional[_Union[SegmentationParameters, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Modality(_message.Message):
    __slots__ = ("slug", "title", "dicom_modality", "units", "required")
    SLUG_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DICOM_MODALITY_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    slug: str
    title: str
    dicom_modality: str
    units: str
    required: bool
    def __init__(self, slug: _Optional[str] = ..., title: _Optional[str] = ..., dicom_modality: _Optional[str] = ..., units: _Optional[str] = ..., required: _Optional[bool] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("value", "slug", "title")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    value: int
    slug: str
    title: str
    def __init__(self, value: _Optional[int] = ..., slug: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("num_hypotheses", "num_steps", "deadline", "study_bytes", "files", "message_bytes")
    NUM_HYPOTHESES_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    STUDY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    num_hypotheses: int
    num_steps: int
    deadline: _duration_pb2.Duration
    study_bytes: int
    files: int
    message_bytes: int
    def __init__(self, num_hypotheses: _Optional[int] = ..., num_steps: _Optional[int] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., study_bytes: _Optional[int] = ..., files: _Optional[int] = ..., message_bytes: _Optional[int] = ...) -> None: ...
