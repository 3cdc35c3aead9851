"""``transferlab doctor``: whether this machine has what a run needs, each line fine or with what to do."""
