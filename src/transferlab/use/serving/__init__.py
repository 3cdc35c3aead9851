"""An exported model as an HTTP service: questions, batches, limits, figures, exchange; imports no torch."""
