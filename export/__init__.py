"""Weights → ONNX (→ TensorRT plans) → a Triton model repository, with numbers that show nothing was lost."""
