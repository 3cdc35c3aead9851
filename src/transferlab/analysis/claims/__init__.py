"""What the field says of transfer, each sentence with the runs that test it. Nothing here is slow to import."""
