"""How freed memory goes back to the system."""

import ctypes


def return_freed_memory() -> bool:
    """Give every whole page that nothing lies on back to the system, in all heaps.

    glibc keeps the arrays of a study in the heaps of whichever threads made them, and shrinks a heap only from its end:
    results that are kept, made last, hold the room of arrays that are gone.

    Returns:
        Whether the C library can; where it is not glibc, nothing is done.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is None:
        return False
    malloc_trim(0)
    return True
