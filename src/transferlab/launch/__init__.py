"""Starts runs: sweeps, searches, jobs on a cluster, the demo."""
