"""What the run directories say together: settings, tests, tables, cards, curves over labels."""
