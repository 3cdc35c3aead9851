"""What shells complete: a script for each shell, and the words that it asks for. Nothing here imports torch."""
