"""What everything else stands on: errors, signals, hardware, the parser of small commands. Imports nothing of ours."""
