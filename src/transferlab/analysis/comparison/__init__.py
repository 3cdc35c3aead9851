"""What the run folders say together: settings, tests, tables, cards, curves over labels."""
