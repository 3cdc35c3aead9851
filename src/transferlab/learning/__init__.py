"""What every way of learning is put together from.

Heads, losses, metrics, optimizers and schedules, the cache of frozen work. Knows tasks, no strategy.
"""
