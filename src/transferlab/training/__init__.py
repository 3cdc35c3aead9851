"""Training that can be stopped anywhere: checkpoints, exact resume, locks, several processes."""
