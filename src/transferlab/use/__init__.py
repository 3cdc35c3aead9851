"""What a finished run is good for beyond its test: GLUE submissions, what its encoder still knows."""
