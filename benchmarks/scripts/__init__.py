"""What users run instead of a command of this project: plain scripts on documented interfaces.

Each is called with the folder of the rows and that of the encoder, and prints its result as JSON in its last line.
"""
