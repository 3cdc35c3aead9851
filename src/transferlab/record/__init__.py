"""What a run leaves behind in its directory: config, summary, environment, predictions; and what reads them back."""
