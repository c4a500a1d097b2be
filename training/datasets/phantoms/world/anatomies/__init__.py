"""Procedural body parts, so that the generator needs no data; and real ones where data are there."""
