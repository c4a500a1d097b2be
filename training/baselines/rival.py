"""What a rival is, and all of them by name: one backbone width, one augmentation, one budget."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from training.baselines.decoders import MultiDecoder, mean_cross_entropy_loss
from training.baselines.dempster_shafer import DempsterShafer, fusion_loss
from training.baselines.dirichlet import Evidential, evidential_loss
from training.baselines.draw import Draw
from training.baselines.passes import MonteCarloDropout, TestTimeAugmentation
from training.baselines.ssn import Stochastic, stochastic_loss
from training.baselines.unet import WIDTHS, EarlyFusion, Ensemble, cross_entropy_loss, dice_cross_entropy_loss
from training.fit import LossFunction

__all__ = ["RIVALS", "SMALL_WIDTHS", "Draw", "Rival", "rivals"]

SMALL_WIDTHS = (12, 16)
"""For tests and tiny worlds."""


class Rival(Protocol):
    """A method to compare with."""

    @property
    def name(self) -> str:
        """Name in tables and folders."""

    @property
    def fitted_as(self) -> str:
        """Name of the rival whose fitted modules it takes; its own where it has a fit of its own."""

    @property
    def num_modules(self) -> int:
        """How many fits, each from another seed, :meth:`predict` needs."""

    @property
    def loss(self) -> LossFunction:
        """What it is fitted with."""

    def build(self, num_modalities: int, num_classes: int, num_context: int) -> nn.Module:
        """Return a fresh module for a task of M modalities, C classes and Z context slices."""

    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Answer for neighbouring slices of one volume.

        Args:
            modules: The fitted module in evaluation mode, or the members of an ensemble.
            images: Normalised intensities [b, m, z, h, w], zero where absent; h and w are multiples of 16.
            presence: Where each modality was acquired, [b, m, z, h, w].
            num_hypotheses: K; methods whose number of answers is fixed take no notice.
            seed: Of the hypotheses' noise; the same for all slices of a volume.
        """


def rivals(widths: tuple[int, ...]) -> Mapping[str, Rival]:
    """Return every rival by name, with U-Nets of the given widths."""
    plain, dice = "unet-ce", "unet-dicece"
    listed: tuple[Rival, ...] = (
        EarlyFusion(plain, plain, cross_entropy_loss, widths=widths),
        EarlyFusion(dice, dice, dice_cross_entropy_loss, widths=widths),
        Ensemble("ensemble", plain, cross_entropy_loss, widths=widths),
        Ensemble("ensemble-dicece", dice, dice_cross_entropy_loss, widths=widths),
        MultiDecoder("decoders", "decoders", mean_cross_entropy_loss, widths=widths),
        MonteCarloDropout("mc-dropout", "mc-dropout", cross_entropy_loss, widths=widths),
        TestTimeAugmentation("tta", plain, cross_entropy_loss, widths=widths),
        Stochastic("ssn", "ssn", stochastic_loss, widths=widths),
        Evidential("evidential", "evidential", evidential_loss, widths=widths),
        DempsterShafer("evidential-fusion", "evidential-fusion", fusion_loss, widths=widths),
    )
    return {rival.name: rival for rival in listed}


RIVALS: Mapping[str, Rival] = rivals(WIDTHS)
