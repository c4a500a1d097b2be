"""Fitting and evaluation: data sets, training loops, baselines, calibration and the tables of results."""
