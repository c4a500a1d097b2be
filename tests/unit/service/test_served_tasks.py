"""Which tasks an embedded Triton is given, and what that means for readiness."""

from pathlib import Path

import pytest

from entrust.contract import BRAIN, LESION, ONCOLOGY, TASKS, ModelCard, model_contracts
from entrust.errors import NotFoundError
from service.pipeline import ModelState, hindrances
from service.settings import Settings
from service.startup import chosen_tasks, serving_one, tasks_in

CARD = ModelCard(task="oncology", version="1", digest="ab")


def deploy(repository: Path, *models: str) -> Path:
    for model in models:
        (repository / model).mkdir(parents=True)
        (repository / model / "config.pbtxt").write_text("")
    return repository


def test_a_repositorys_tasks_are_those_it_holds_a_model_of(tmp_path: Path) -> None:
    names = [contract.name for contract in model_contracts(LESION).values()]
    assert tasks_in(deploy(tmp_path, *names)) == [LESION]
    assert tasks_in(deploy(tmp_path, "brain_denoiser")) == [BRAIN, LESION], "what is there in part is to be missed"


def test_of_an_empty_repository_everything_is_missed(tmp_path: Path) -> None:
    assert tasks_in(tmp_path) == list(TASKS.values())


def test_a_deployment_may_choose() -> None:
    assert chosen_tasks("") == []
    assert chosen_tasks("lesion, oncology") == [LESION, ONCOLOGY]
    with pytest.raises(NotFoundError):
        chosen_tasks("lesion, liver")


def test_one_task_needs_no_models_of_others(tmp_path: Path) -> None:
    deploy(tmp_path, "brain_denoiser", "lesion_denoiser")
    everything = Settings.model_validate({"triton": {"repository": tmp_path}})
    assert serving_one(everything, "lesion").triton.tasks == "lesion"
    assert serving_one(everything, "lesion").triton.repository == tmp_path
    assert serving_one(everything, "oncology") is everything, "so that it is told what is served instead"
    chosen = Settings.model_validate({"triton": {"repository": tmp_path, "tasks": "brain"}})
    assert serving_one(chosen, "lesion") is chosen
    apart = Settings.model_validate({"triton": {"url": "triton:8001"}})
    assert serving_one(apart, "lesion") is apart
    with pytest.raises(NotFoundError):
        serving_one(everything, "liver")


def test_what_is_not_deployed_hinders_nothing_and_what_is_away_does() -> None:
    ready, absent = ModelState("oncology", CARD), ModelState("brain", None, "not given", deployed=False)
    away = ModelState("lesion", None, "lesion: Triton is not there.")
    assert hindrances([ready, absent]) == []
    assert hindrances([ready, absent, away]) == [away.reason]
    assert hindrances([absent]) == ["Triton was given no models of any task."]
