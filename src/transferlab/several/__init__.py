"""Several tasks with one encoder: at once, one after the other, and finished runs put together by their weights."""
