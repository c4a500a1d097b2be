"""The embedded Triton: a real tritonserver from the package index, installed, started and looked after."""
