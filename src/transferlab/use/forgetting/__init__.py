"""What a run left of the encoder that it started from: probes of other tasks, and drift per layer."""
