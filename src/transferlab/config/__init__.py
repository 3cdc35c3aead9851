"""Experiment files and what stands in them: bases, names, grids, short forms, places.

Knows YAML and paths, nothing of torch.
"""
