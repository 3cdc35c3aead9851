"""Views of a run while it trains and afterwards: loggers, W&B, the log of metrics."""
