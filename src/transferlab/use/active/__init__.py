"""Active learning: which texts of a pool to label next, and what that would have brought on a labelled one."""
