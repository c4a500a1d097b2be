"""EnTrust: the method, in numpy alone.

Equations, geometry, value types, and the promises between exporter and gateway. No I/O, no clock, no network, no
framework; the torch modules live one room further, in :mod:`entrust.networks`.
"""
