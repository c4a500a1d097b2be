"""Traces as they arrive: a small OTLP receiver, and the tree of one real study."""
