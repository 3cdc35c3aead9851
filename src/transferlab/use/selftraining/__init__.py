"""Self-training: a run labels what it is sure of among unlabelled texts, and the next run learns from them too."""
