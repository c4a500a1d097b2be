"""Which door of the gateway an address belongs to, for the metrics."""

DICOMWEB_ROOT = "/dicom-web"
REST, DICOMWEB = "rest", "dicomweb"


def door_of(route: str) -> str:
    """Return the door of a route template."""
    return DICOMWEB if route.startswith(f"{DICOMWEB_ROOT}/") else REST
