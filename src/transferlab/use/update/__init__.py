"""A finished run that is trained on with new labelled examples, and old ones so that it does not forget them."""
