"""Tables beside the benchmark's own: what is lost without a modality, a step, an idea; what it costs; what is inside.

Each is measured once on finished fits, kept as a small file beside the scores, and told from it.
"""
