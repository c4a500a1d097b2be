"""Rivals that ask one U-Net several times: Monte-Carlo dropout, and test-time augmentation."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.baselines.draw import Draw, hypothesis_generator
from training.baselines.unet import EarlyFusion, logits_of


@contextmanager
def channels_dropped(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Drop channels after each spatial dropout of a module in evaluation mode, the same ones for the whole batch.

    The layers' own training mode would draw another mask for every slice, and neighbouring slices would come from
    different networks.

    Args:
        module: In evaluation mode; a layer with rate 0 drops nothing.
        generator: Decides which channels; the layers draw in the order in which they run.
    """

    def drop(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        del inputs
        assert isinstance(layer, nn.Dropout2d)  # noqa: S101
        kept = (torch.rand(output.shape[1], generator=generator) >= layer.p).to(output)
        return output * (kept / (1.0 - layer.p)).view(1, -1, 1, 1)

    with ExitStack() as stack:
        for layer in module.modules():
            if isinstance(layer, nn.Dropout2d) and layer.p > 0.0:
                stack.callback(layer.register_forward_hook(drop).remove)
        yield


@dataclass(frozen=True)
class MonteCarloDropout(EarlyFusion):
    """The U-Net with its dropout on: each hypothesis is one thinned network.

    Source: Gal & Ghahramani, arXiv 1506.02142; dropout of whole channels in the coarse levels alone after Kendall et
    al. (Bayesian SegNet), arXiv 1511.02680.
    """

    dropout: float = 0.2

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return K passes and their mean."""
        (module,) = modules
        passes = []
        for k in range(num_hypotheses):
            with channels_dropped(module, hypothesis_generator(seed, k)):
                passes.append(logits_of(module, images, presence).softmax(dim=1))
        samples = torch.stack(passes, dim=1)
        return Draw(samples.mean(dim=1), samples)


def turn(x: Tensor, quarter_turns: int, flip: bool) -> Tensor:
    """Turn the last two axes by quarters, then mirror the columns."""
    turned = torch.rot90(x, quarter_turns, dims=(-2, -1))
    return turned.flip(-1) if flip else turned


def turn_back(x: Tensor, quarter_turns: int, flip: bool) -> Tensor:
    """Undo :func:`turn`."""
    return torch.rot90(x.flip(-1) if flip else x, -quarter_turns, dims=(-2, -1))


@dataclass(frozen=True)
class TestTimeAugmentation(EarlyFusion):
    """The U-Net on the eight turned and mirrored images; the eight answers are the hypotheses, whatever K is.

    Source: Wang et al., arXiv 1807.07356.
    """

    __test__ = False  # pytest takes the name for a test

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the eight answers, turned back, and their mean."""
        del num_hypotheses, seed
        (module,) = modules
        samples = torch.stack(
            [
                turn_back(logits_of(module, turn(images, q, flip), turn(presence, q, flip)), q, flip).softmax(dim=1)
                for q in range(4)
                for flip in (False, True)
            ],
            dim=1,
        )
        return Draw(samples.mean(dim=1), samples)
