"""From texts to triples: entities by one run, relations between them by another."""
