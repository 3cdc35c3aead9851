"""Which encoder suits a task, told from frozen features before anything is fine-tuned."""
