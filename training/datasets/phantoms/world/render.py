"""Scene → images: what the domain's scanners make of what can be seen. No state, no label comes in here."""

import numpy as np
from jaxtyping import Float, Float64
from scipy import ndimage

from training.datasets.phantoms.world.domain import Channel, Domain
from training.datasets.phantoms.world.scene import Scene
from training.datasets.phantoms.world.space import occupancy


def ideal_signal(scene: Scene, domain: Domain, index: int) -> Float64[np.ndarray, "d h w"]:
    """Return a modality's image before any scanner: tissue signals, lesion, findings.

    Args:
        scene: What can be seen.
        domain: Its tissues and sequences.
        index: Number of the modality.
    """
    channel = domain.channels[index]
    level = {name: channel.signal(tissue) for name, tissue in domain.tissues.items()}
    image = np.array([level[name] for name in scene.anatomy.names], dtype=np.float64)[scene.anatomy.tissues]
    for painted, distance, softness in zip(
        domain.painted, scene.lesion.distances_mm, scene.lesion.softness_mm, strict=True
    ):
        if painted is not None:
            image = image + scene.sensitivity[index] * occupancy(distance, softness) * (level[painted] - image)
    for patch in scene.patches:
        image = image + patch.shown(channel.role.slug) * (level[patch.finding.tissue] - image)
    return np.asarray(image)


def scan(
    ideal: Float64[np.ndarray, "d h w"],
    scene: Scene,
    channel: Channel,
    rng: np.random.Generator,
    *,
    noise: float = 1.0,
    bias: float = 1.0,
    shift_mm: tuple[float, float] = (0.0, 0.0),
) -> Float64[np.ndarray, "d h w"]:
    """Return the acquired image: texture, displacement, point spread, shading, noise, in the scanner's steps.

    Args:
        ideal: From :func:`ideal_signal`.
        scene: For its lattice and its patches of noise.
        channel: The scanner.
        rng: Source of randomness.
        noise: Factor on the drawn noise.
        bias: Factor on the drawn shading.
        shift_mm: Displacement (row, column) against the common lattice.
    """
    space, units = scene.space, channel.role.units
    texture = channel.texture * (0.7 * space.field(rng, 5.0) + 0.7 * space.field(rng, 14.0))
    image = ideal * (1 + texture) if units != "HU" else ideal + 100 * texture * (np.abs(ideal) < 300)
    pixels = (0.0, *(s / step for s, step in zip(shift_mm, space.spacing_mm[1:], strict=True)))
    if any(pixels):
        image = ndimage.shift(image, pixels, order=1, mode="nearest")
    image = space.blur(image, channel.fwhm_mm)
    shading = np.exp(bias * rng.uniform(0.3, 1.0) * channel.bias * space.field(rng, 110.0))
    sigma = noise * rng.uniform(*channel.noise) * (1 + 4.0 * noise_patch(scene, channel.role.slug))
    gain = np.exp(rng.uniform(-0.25, 0.25)) if units == "arbitrary" else 1.0
    white = rng.standard_normal((2, *space.shape))
    if units == "arbitrary":  # magnitude of a complex signal: Rician
        image = gain * np.hypot(image * shading + sigma * white[0], sigma * white[1])
    elif units == "SUV":  # counts: the noise grows as the root of the uptake, and reconstruction correlates it
        grain = space.blur(white[0], 5.0) * 2.6
        image = np.maximum(image + sigma * np.sqrt(np.maximum(image, 0.1)) * grain, 0.0)
    else:
        image = np.maximum(image + sigma * space.blur(white[0], 2.5) * 1.6, -1024.0)
    return np.asarray(np.rint(image / channel.quantum) * channel.quantum)


def noise_patch(scene: Scene, slug: str) -> Float[np.ndarray, "d h w"]:
    """Return where the scene wants more noise in one modality, 0 … 1."""
    extra = np.zeros(scene.space.shape)
    for patch in scene.patches:
        if patch.finding.kind == "noise" and slug in patch.finding.visibility:
            extra = np.maximum(extra, patch.share)
    return extra
