"""What a finished run is good for beyond its test, and which encoder to take next."""
