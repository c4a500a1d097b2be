"""The loop guard: what this service made is never its input, whatever a rules file says.

A PACS that tells of every stable study tells of it again when the results arrive.
"""

from service.selection.conditions import TagCondition
from service.selection.rules import Exclusion

MANUFACTURER = "The EnTrust Serve authors"
PRODUCT = "EnTrust Serve"
"""As :mod:`service.encode` writes them into every object; a test compares."""

OWN_RESULTS = Exclusion(
    name="own-results",
    when=[
        TagCondition(tag="Manufacturer", equals=MANUFACTURER),
        TagCondition(tag="ManufacturerModelName", equals=PRODUCT),
    ],
    because="These are results of this service.",
    fix="Nothing is to be done.",
)
