"""``transferlab report``: the run folders as one HTML file. Imports no torch."""
