"""The numpy and the torch side of the conflict maps agree."""

import numpy as np
import torch

from entrust.conflict import pair_conflict, union_conflict
from entrust.networks.enfuse import EnFuse, EnFuseConfig


def test_enfuse_and_numpy_find_the_same_conflict() -> None:
    torch.manual_seed(0)
    config = EnFuseConfig(num_context=3, num_classes=3)
    enfuse = EnFuse(config).eval()
    for scale in enfuse.fusion:  # untrained heads are undecided; these have opinions
        torch.nn.init.normal_(scale.unimodal_head.weight, std=1.5)
        torch.nn.init.normal_(scale.modality_embedding, std=1.5)
    images = torch.randn(2, 3, 3, 32, 32)
    presence = torch.ones_like(images)
    presence[0, 2] = 0
    presence[1, 1, :, :16] = 0
    keep = torch.tensor([[[1.0, 1, 1], [1, 0, 1]]]).repeat(2, 1, 1)
    with torch.no_grad():
        output = enfuse(images, presence, keep, torch.ones(2, 2))

    for scale in output.scales:
        # the batch of 2 slices × 2 variants takes the place of depth
        unimodal = scale.unimodal_logits.softmax(dim=2).transpose(0, 1).numpy()  # [m, n, c, h, w]
        present = scale.presence[:, :, 0].transpose(0, 1).numpy()
        pairs = pair_conflict(unimodal, present)
        np.testing.assert_allclose(pairs, scale.pair_conflict.transpose(0, 1).numpy(), atol=1e-5)
        np.testing.assert_allclose(union_conflict(pairs), scale.agreement[:, 0].numpy(), atol=1e-5)
        assert pairs.max() > 0.3  # the comparison is not one of zeros
