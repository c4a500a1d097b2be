"""OHIF before a DICOMweb server, and a browser that looks at what it shows."""
