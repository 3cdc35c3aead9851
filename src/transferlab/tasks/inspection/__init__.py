"""What the texts and labels of a task allow to say: repeated, contradictory and shared texts; imports no torch."""
