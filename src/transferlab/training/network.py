"""Tells that another process of a run is gone."""

import datetime
import re
import signal

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


def ended(codes: list[int]) -> str:
    """What to say of processes of a run that have ended with an error, maybe before the first step.

    Args:
        codes: Their exit codes, by number from 1; 0 for one that has not.
    """
    number, code = next((place, code) for place, code in enumerate(codes, 1) if code)
    how = f"ended with exit code {code}" if code > 0 else f"was killed ({signal.Signals(-code).name})"
    hint = "; the system kills where memory is full" if code == -signal.SIGKILL else ""
    return f"process {number} of this run {how}{hint}. What it printed stands above; the others are ended"
