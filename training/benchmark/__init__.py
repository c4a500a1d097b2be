"""ConflictWorld as a benchmark: fit EnTrust and its rivals alike, score them against the truth, print tables."""
