"""Classical baselines on exactly the rows of the neural runs, kept in the same kind of run directory."""

from transferlab.baselines.command import main

__all__ = ["main"]
