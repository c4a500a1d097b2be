"""Names that follow from content: the same input, weights and parameters give the same UIDs."""

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version

from entrust.contract import ModelCard
from service.encode.sources import clean_header, quiet
from service.study import Case
from service.summary import Provenance

PRODUCT = "EnTrust Serve"
MANUFACTURER = "The EnTrust Serve authors"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:entrust-serve:results:1")


@dataclass(frozen=True)
class Identity:
    """What decides a result: input images and what is said of the patient, weights with their fitted numbers,
    parameters, program.

    Attributes:
        digest: SHA-256 over all of it, hexadecimal.
        card: The weights.
        provenance: The parameters.
    """

    digest: str
    card: ModelCard
    provenance: Provenance

    @classmethod
    def of(cls, case: Case, card: ModelCard, provenance: Provenance) -> "Identity":
        """Derive the identity of the results of a case."""
        images = {
            slug: sorted(str(ds.SOPInstanceUID) for ds in series.datasets) for slug, series in sorted(case.used.items())
        }
        with quiet():
            said = [(int(one.tag), str(one.value)) for one in clean_header(case.reference.datasets[0])]
        facts = [images, case.reference.uid, said, asdict(card), asdict(provenance), product_version()]
        return cls(hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(), card, provenance)

    def uid(self, *purpose: str) -> str:
        """Return the UID of a thing in this result: ``("segmentation", "series")``."""
        return _uid(self.digest, *purpose)

    @property
    def device_uid(self) -> str:
        """UID of the model as a device: new for every set of weights, the same on every machine."""
        return _uid("device", self.card.digest)

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters as they are written into results."""
        p = self.provenance
        return {
            "num_hypotheses": str(p.num_hypotheses),
            "num_steps": str(p.num_steps),
            "seed": str(p.seed),
            "sampler": p.sampler,
            "eta": f"{p.eta:g}",
        }


@cache
def product_version() -> str:
    """Return the version of this program."""
    return version("entrust-serve")


def _uid(*parts: str) -> str:
    # PS3.5 B.2: 2.25 followed by a UUID as a decimal number
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(parts)).int}"
