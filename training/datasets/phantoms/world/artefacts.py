"""What goes wrong in scanners and archives, for the shift tests: images in, images out, labels untouched."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64

Images = Float64[np.ndarray, "m d h w"]
Presence = Bool[np.ndarray, "m d h w"]
Artefact = Callable[[Images, Presence, np.random.Generator], tuple[Images, Presence]]


def ghosting(images: Images, presence: Presence, rng: np.random.Generator) -> tuple[Images, Presence]:
    """Ghost one modality: periodic motion puts faint copies of the slice along the phase direction.

    A displacement of every n-th line of k-space is, in the image, a copy moved by 1/n of the field of view.

    Source: Zaitsev, Maclaren, Herbst 2015, Motion artifacts in MRI.
    """
    m, axis = int(rng.integers(len(images))), int(rng.integers(1, 3))
    image, lines = images[m], images.shape[axis + 1]
    spectrum = np.fft.fft(image, axis=axis)
    move = rng.uniform(1.5, 4.0)  # pixels
    phase = np.exp(-2j * np.pi * np.fft.fftfreq(lines) * move)
    struck = np.arange(lines) % int(rng.integers(2, 5)) == 0
    factor = np.where(struck, phase, 1.0).reshape([-1 if a == axis else 1 for a in range(3)])
    ghosted = images.copy()
    restored = np.fft.ifft(spectrum * factor, axis=axis)
    ghosted[m] = np.abs(restored) if image.min() >= 0 else restored.real
    return ghosted, presence


def missing_modality(images: Images, presence: Presence, rng: np.random.Generator) -> tuple[Images, Presence]:
    """Take one modality away."""
    kept = presence.copy()
    kept[int(rng.integers(len(images)))] = False
    return images * kept, kept


def swapped_series(images: Images, presence: Presence, rng: np.random.Generator) -> tuple[Images, Presence]:
    """Exchange two modalities, each in the other's intensities, as when an archive names them wrongly."""
    a, b = rng.permutation(len(images))[:2]
    swapped = images.copy()
    for target, source in ((a, b), (b, a)):
        x, like = images[source], images[target]
        low, high = np.percentile(x, (1, 99))
        to_low, to_high = np.percentile(like, (1, 99))
        swapped[target] = to_low + (x - low) * (to_high - to_low) / max(high - low, 1e-9)
    return swapped, presence


ARTEFACTS: dict[str, Artefact] = {
    "ghosting": ghosting,
    "missing-modality": missing_modality,
    "swapped-series": swapped_series,
}
