"""What a doubtful registration does to the answer's trust."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from entrust.trustmap import TrustMap
from service.study import Case


def raise_uncertainty(trust_map: TrustMap, case: Case) -> TrustMap:
    """Let an error be as probable everywhere as it is anywhere within the distance by which a registration is in doubt.

    The calibration knows series that lie where they belong. Where one may lie some millimetres off, what the networks
    saw at a place may have been that of a place so far away: the largest error probability within reach is the least
    that can be said. Nothing else is changed: masks and volumes are the networks' own.

    Args:
        trust_map: The answer.
        case: Says which series were registered, and how well.

    Returns:
        The same where no registration is in doubt.
    """
    reach_mm = max((found.disagreement_mm for found in case.registrations.values() if found.doubtful), default=0.0)
    reach = [int(reach_mm // spacing) for spacing in case.grid.spacing_mm]
    if not reach_mm:
        return trust_map
    reach = [
        max(reach[0], 0),
        max(reach[1], 1),
        max(reach[2], 1),
    ]  # a voxel in the plane at least: doubt is never nothing
    d, h, w = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    inside = sum((axis / max(n, 1)) ** 2 for axis, n in zip((d, h, w), reach, strict=True)) <= 1.0 + 1e-9
    widened = ndimage.grey_dilation(trust_map.error_probability, footprint=inside, mode="nearest")
    return replace(trust_map, error_probability=widened.astype(trust_map.error_probability.dtype))
