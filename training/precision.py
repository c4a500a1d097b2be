"""Half precision where the processor computes in it."""

import torch


def computes_in_bfloat16(kind: str) -> bool:
    """Return whether bfloat16 is no slower than float32 on a kind of device, ``cpu`` or ``cuda``.

    A CPU without AVX-512 has no convolution for it but a reference loop, ten times slower than float32.
    """
    return kind != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def autocast(kind: str) -> torch.autocast:
    """Compute in bfloat16 where the operation allows and the device computes in it, else in float32."""
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=computes_in_bfloat16(kind))
