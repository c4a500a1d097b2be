"""Public data sets as their owners publish them: one declarative file each, read through one interface."""
