"""Scores of written texts, as sums of statistics that add up over rows; imports no torch.

The statistics are those of sacrebleu (https://aclanthology.org/W18-6319) and of rouge_score, Google's ROUGE
(https://aclanthology.org/W04-1013), which the extra ``text`` brings.
"""

from transferlab.tasks.scoring.measures import scores, signatures, statistics
from transferlab.tasks.scoring.sums import NAMES, SUMS

__all__ = ["NAMES", "SUMS", "scores", "signatures", "statistics"]
