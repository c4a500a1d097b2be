"""Results leave for a PACS: checked, sent, and seen to be there.

What is here may be known by every room above; the protocols are spoken in the modules below, which
:mod:`service.app` puts together.
"""

from service.delivery.instances import InstanceRef
from service.delivery.interface import Delivery, is_transient

__all__ = ["Delivery", "InstanceRef", "is_transient"]
