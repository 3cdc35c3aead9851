"""A finished run on labelled files that are not its own: how far it carries to another domain."""
