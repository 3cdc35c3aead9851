"""Grids of runs from one short file: each cell a run directory, started, continued or left alone."""
