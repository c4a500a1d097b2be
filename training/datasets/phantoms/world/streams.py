"""Random numbers that depend on words alone: the same on every machine, whatever ran before."""

import hashlib

import numpy as np

WORLD_VERSION = "conflict-world/1"
"""Part of every key: raise it when a change of the generator is meant to change its cases."""


def stream(*words: str | int) -> np.random.Generator:
    """Return the generator of the words, e.g. ``stream("brain", "train", 17, "scene")``.

    Philox is a counter-based generator: its bits are fixed by the key, on any processor and with any number of
    threads. Scene, reader and scanner draw from streams of their own, so that none can tell anything of another.

    Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
    """
    digest = hashlib.blake2b("/".join([WORLD_VERSION, *map(str, words)]).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
