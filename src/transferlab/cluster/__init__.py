"""Runs as jobs of a cluster; needs nothing of torch."""

from transferlab.cluster.jobs import Command, submit_array
from transferlab.cluster.settings import Slurm

__all__ = ["Command", "Slurm", "submit_array"]
