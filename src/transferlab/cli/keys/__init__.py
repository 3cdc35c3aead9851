"""The keys of the command line as data: what each is called, takes and means. Only `collect` imports torch."""
