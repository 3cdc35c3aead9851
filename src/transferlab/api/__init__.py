"""The way in from Python: what makes a plain Trainer leave the run directory that the command line leaves."""
