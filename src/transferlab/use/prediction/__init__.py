"""New texts through a finished run: files of any size in, the same rows with predictions out."""
