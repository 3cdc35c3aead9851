"""Finished runs of one base put together by their weights: task vectors added, negated, averaged, or as in TIES."""
