"""The run folder: what a run leaves behind, and reading it back. Importing this imports no torch."""
