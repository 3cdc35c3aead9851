"""What every way of learning is put together from: heads, losses, metrics, optimizers and schedules, cached frozen work."""
