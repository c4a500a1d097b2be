"""The gRPC face, mirrored file by file with the HTTP one; ``v1`` is generated from ``proto/``."""
