"""What in a text speaks for a prediction: integrated gradients, summed to words and put to the test."""
