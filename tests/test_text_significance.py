"""Paired tests on corpus scores: those of sacrebleu on the same files, and by document."""
