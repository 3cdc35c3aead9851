"""A finished run without the attention heads that matter least: a run of its own."""
