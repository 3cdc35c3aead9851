"""A finished run as a folder that others can load, and a comparison of the two."""
