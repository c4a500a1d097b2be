"""Simulated studies whose truth is known, with conflicts between modalities put in on purpose."""
