"""Released weights survive the way to disk and back, and what does not fit is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from entrust.contract import ONCOLOGY, FittedConstants
from entrust.errors import EnTrustError, InvalidInputError, NotFoundError
from entrust.networks.release import load_release, save_release, untrained_networks

CONSTANTS = FittedConstants(kappa=0.7, volume_interval_scale=1.9, uncertain_threshold=0.25)


def test_untrained_networks_are_the_same_every_time_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second = untrained_networks(ONCOLOGY), untrained_networks(ONCOLOGY)
    assert torch.equal(torch.rand(3), expected)
    assert first.card == second.card
    assert first.card.digest != untrained_networks(ONCOLOGY, seed=1).card.digest
    assert not any(module.training for module in first.parts().values())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    networks = untrained_networks(ONCOLOGY, seed=4)
    card = save_release(tmp_path, networks, version="1.0", constants=CONSTANTS, facts={"seed": 4})
    loaded = load_release(ONCOLOGY, tmp_path / "oncology.safetensors")
    assert loaded.card == card
    assert loaded.card.constants == CONSTANTS
    for part, module in networks.parts().items():
        again = loaded.parts()[part].state_dict()
        assert all(torch.equal(value, again[key]) for key, value in module.state_dict().items())
    assert json.loads((tmp_path / "oncology.json").read_text())["seed"] == 4


def forget_description(folder: Path) -> None:
    (folder / "oncology.json").unlink()


def truncate_weights(folder: Path) -> None:
    path = folder / "oncology.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def describe(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "oncology.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (forget_description, NotFoundError),
        (truncate_weights, InvalidInputError),
        (describe(lambda d: d.pop("constants")), InvalidInputError),
        (describe(lambda d: d.update(task="cardiac")), InvalidInputError),
        (describe(lambda d: d["networks"]["enfuse"].update(shared=12)), InvalidInputError),
        (describe(lambda d: d["networks"]["enfuse"].update(colour=1)), InvalidInputError),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], error: type[EnTrustError]
) -> None:
    save_release(tmp_path, untrained_networks(ONCOLOGY), version="1.0", constants=CONSTANTS)
    damage(tmp_path)
    with pytest.raises(error) as caught:
        load_release(ONCOLOGY, tmp_path / "oncology.safetensors")
    assert caught.value.fix
