"""What the field says of transfer, each sentence with the runs that test it. Imports nothing that takes long to import."""
