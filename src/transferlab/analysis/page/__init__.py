"""``transferlab report``: the run directories as one HTML file. Imports no torch."""
