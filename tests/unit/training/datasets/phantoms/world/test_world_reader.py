"""A reader who knows how findings look can tell from the images what was drawn: p* is a function of what is seen."""

from dataclasses import replace

import numpy as np
import pytest

from training.datasets.phantoms.world.case import DOMAINS, WorldCase, make_case
from training.datasets.phantoms.world.domain import Domain, Finding
from training.datasets.phantoms.world.render import ideal_signal
from training.datasets.phantoms.world.scene import Patch
from training.datasets.phantoms.world.splits import TEST


def judgement(finding: Finding, cue: int) -> tuple[object, ...]:
    """Return what follows from a finding: the labels it may have, with what probability, and among how many blobs."""
    if finding.cue is None:
        return finding.levels[1], finding.levels[1], 1.0, 1
    return *finding.levels, finding.cue.levels[cue][1], finding.count


def drawn_out(finding: Finding) -> bool:
    """Tell whether its outline alone tells a finding from a round one."""
    return finding.elongation[0] >= 3


def candidates(domain: Domain, patch: Patch) -> list[tuple[Finding, int]]:
    """Return the findings, with their cues, that have such an outline."""
    likely = []
    for finding in domain.findings:
        if finding.kind == "noise" or drawn_out(finding) != drawn_out(patch.finding):
            continue
        if finding.cue is None or finding.cue.name == "shape":  # a shape is its own outline
            likely.append((finding, patch.cue if finding is patch.finding else 0))
        else:
            likely += [(finding, cue) for cue in range(len(finding.cue.levels))]
    return likely


def read(case: WorldCase, number: int) -> tuple[Finding, int]:
    """Return the finding and the cue that explain all modalities best.

    Scale and noise of a modality are learned from healthy surroundings, as an eye would; nothing else is known of the
    scanner.
    """
    domain, scene = case.domain, case.scene
    patch = scene.patches[number]
    findings_mm = np.min([p.distance_mm for p in scene.patches], axis=0)
    inside, band = patch.distance_mm < -1, (patch.distance_mm < 25) & (findings_mm > 4)

    def models(finding: Finding, cue: int) -> list[np.ndarray]:
        patches = list(scene.patches)
        patches[number] = replace(patch, finding=finding, cue=cue)
        seen = replace(scene, patches=tuple(patches))
        return [scene.space.blur(ideal_signal(seen, domain, m), c.fwhm_mm) for m, c in enumerate(domain.channels)]

    images = [image.astype(float) for image in case.images]
    scales = []
    for image, model in zip(images, models(patch.finding, patch.cue), strict=True):
        gain = (image[band] * model[band]).sum() / (model[band] ** 2).sum()
        scales.append((gain, np.var(image[band] - gain * model[band])))

    def misfit(choice: tuple[Finding, int]) -> float:
        return sum(
            float(((image[inside] - gain * model[inside]) ** 2).sum() / variance)
            for image, model, (gain, variance) in zip(images, models(*choice), scales, strict=True)
        )

    return min(candidates(domain, patch), key=misfit)


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_what_a_finding_is_and_how_it_is_judged_can_be_read_from_the_images(domain: Domain) -> None:
    right = []
    for index in range(24):
        case = make_case(domain, TEST, index, depth=1)
        for number, patch in enumerate(case.scene.patches):
            if patch.finding.kind == "noise" or (patch.distance_mm < -1).sum() < 4:
                continue
            right.append(judgement(*read(case, number)) == judgement(patch.finding, patch.cue))
    assert len(right) > 40
    assert np.mean(right) > 0.9, f"{np.mean(right):.2f} of {len(right)}"
