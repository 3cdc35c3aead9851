"""The command line: parsing, help, and the commands that train, test and predict."""
