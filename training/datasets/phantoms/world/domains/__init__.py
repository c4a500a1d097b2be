"""One declarative file per domain: tissues, sequences, and what readers may disagree about."""
