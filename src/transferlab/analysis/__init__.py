"""Reads run directories only, and imports no torch: comparison, report, claims, model card."""
