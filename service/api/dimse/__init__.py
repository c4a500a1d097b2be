"""The DIMSE face: a storage SCP."""
