"""Programs that are not ours, and what they say of the results of varied studies: ``make validate-dicom``."""
