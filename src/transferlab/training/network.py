"""Tells that another process of a run is gone."""

import datetime
import re

import torch

GLOO = r"gloo|Connection (closed|reset) by peer|Timed out waiting|Broken pipe|Connection refused|wait timeout"
LATE = r"[Tt]imed? ?out"


def lost(error: BaseException, timeout: datetime.timedelta | None) -> str:
    """What happened to the other processes, in words; empty where the error says nothing of them.

    Args:
        error: What a collective operation raised, or anything else.
        timeout: How long an answer was waited for.
    """
    link: BaseException | None = error
    while link is not None:
        text = str(link)
        if isinstance(link, torch.distributed.DistError) or (
            isinstance(link, RuntimeError | ConnectionError) and re.search(GLOO, text)
        ):
            if re.search(LATE, text):
                seconds = f"{timeout.total_seconds():g} s" if timeout else "long"
                return f"another process of this run has not answered for {seconds}"
            return "another process of this run has ended or cannot be reached"
        link = link.__cause__ or link.__context__
    return ""
