"""Before the labels of a task: encoders pretrained on unlabelled text, and the choice among encoders."""
