"""What a label map, or a class's probability, says of a structure; the one place that knows of nesting.

The networks' classes exclude each other, for that is what a softmax can state. In a nested task (tumour core within
whole tumour) class r stands for *in structures 1 … r and in none further in*. A structure's mask is then every voxel
of its own class or a later one, and its probability the sum over these classes; in other tasks both are the class's.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from entrust.contract import Label, Task


def structure_mask(task: Task, label_map: UInt8[np.ndarray, "*s"], label: Label) -> Bool[np.ndarray, "*s"]:
    """Return where a structure is.

    Args:
        task: Tells whether structures are nested.
        label_map: One label map, or several along leading axes.
        label: The structure.
    """
    mask: np.ndarray = label_map >= label.value if task.nested else label_map == label.value
    return mask


def structure_masks(task: Task, label_map: UInt8[np.ndarray, "*s"]) -> Bool[np.ndarray, "l *s"]:
    """Return the mask of every structure, in the order of ``task.labels``; nested ones overlap."""
    return np.stack([structure_mask(task, label_map, label) for label in task.labels])


def structure_probability(task: Task, probability: Float[np.ndarray, "c *s"], label: Label) -> Float[np.ndarray, "*s"]:
    """Return the probability that a voxel belongs to a structure.

    Args:
        task: Tells whether structures are nested.
        probability: Probability per class, background first.
        label: The structure.
    """
    of_structure: np.ndarray = probability[label.value :].sum(axis=0) if task.nested else probability[label.value]
    return of_structure


def structures_seen(task: Task, probability: Float[np.ndarray, "c *s"]) -> Float[np.ndarray, "*s"]:
    """Return the expected number of structures that a voxel belongs to.

    Where structures exclude each other this is the probability of any. In a nested task it also tells scar from the
    healthy myocardium around it, both of which are foreground.

    Args:
        task: Tells whether structures are nested.
        probability: Probability per class, background first.
    """
    depth = np.arange(task.num_classes) if task.nested else np.minimum(np.arange(task.num_classes), 1)
    seen: np.ndarray = np.tensordot(depth.astype(probability.dtype), probability, axes=1)
    return seen
