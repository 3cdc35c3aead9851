"""Files of the user's as rows: what is read, how it was understood, and where in the file each row stands."""
