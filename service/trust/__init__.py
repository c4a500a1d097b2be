"""Trust: from a trust map on the model's grid to regions, reliability words and the summary."""

from service.trust.misregistration import raise_uncertainty
from service.trust.summary import summarise

__all__ = ["raise_uncertainty", "summarise"]
