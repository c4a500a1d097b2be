"""Rivals at equal budget: same data, same augmentation, same loss, same splits."""
