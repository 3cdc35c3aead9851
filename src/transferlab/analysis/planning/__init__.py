"""Which strategies to try first with so many labels and so much time, from the runs that there are."""
