"""ConflictWorld as a benchmark: train EnTrust and its rivals alike, score them against the exact truth, print tables."""
