"""Runs as jobs of a cluster; needs nothing of torch."""

from transferlab.launch.cluster.arrays import submit_array
from transferlab.launch.cluster.jobs import Command
from transferlab.launch.cluster.settings import Slurm

__all__ = ["Command", "Slurm", "submit_array"]
