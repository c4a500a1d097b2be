"""ConflictWorld: four simulated domains in which p(y | x) is known exactly, see docs/phantoms.md."""
