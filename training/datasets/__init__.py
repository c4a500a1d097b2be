"""One file per benchmark, and the phantoms; each yields :class:`training.datasets.case.TrainingCase`."""
