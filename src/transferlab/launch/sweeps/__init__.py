"""Grids of runs from one short file: each cell a run folder, started, gone on with or left alone."""
