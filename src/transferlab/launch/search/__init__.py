"""Search over keys of an experiment: Optuna picks, the real command trains, the validation examples decide."""
