"""Classical baselines on exactly the rows of the neural runs, kept in the same kind of run folder."""

from transferlab.baselines.command import main

__all__ = ["main"]
