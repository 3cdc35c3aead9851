"""Transfer learning experiments in NLP: task x encoder x strategy, trained by the Lightning Trainer."""

__version__ = "0.1.0"
