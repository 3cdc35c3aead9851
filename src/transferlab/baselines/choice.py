"""The classical methods by name."""

from transferlab.baselines.answers import AlwaysNone, WordOverlap
from transferlab.baselines.methods import NBSVM, Baseline, Majority, TfIdf, TfIdfIntents, TokenMajority
from transferlab.baselines.texts import Copy, Lead1, Lead3, MostFrequentTarget, NearestTarget
from transferlab.baselines.vectors import WordVectors
from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.spec import Kind

METHODS: dict[str, type[Baseline]] = {
    "majority": Majority,
    "tfidf": TfIdf,
    "nbsvm": NBSVM,
    "token_majority": TokenMajority,
    "word_overlap": WordOverlap,
    "no_answer": AlwaysNone,
    "copy": Copy,
    "lead_1": Lead1,
    "lead_3": Lead3,
    "most_frequent_target": MostFrequentTarget,
    "nearest_target": NearestTarget,
    "vectors": WordVectors,
}


VARIANTS: dict[tuple[str, Kind], type[Baseline]] = {("tfidf", "slots"): TfIdfIntents}
"""What a method is for a kind of task that it does not fit as it stands."""


def method_of(name: str, kind: Kind) -> type[Baseline]:
    """The class of a method for a kind of task."""
    return VARIANTS.get((name, kind), METHODS[name])


def chosen_methods(method: str, kind: Kind) -> list[str]:
    """The methods to run; ``all`` is all that fit the kind of task and need no file.

    Raises:
        TransferlabError: No such method, or it does not fit.
    """
    fitting = [name for name, one in METHODS.items() if kind in one.kinds or (name, kind) in VARIANTS]
    if method == "all":
        return [name for name in fitting if name != "vectors"]
    if method not in METHODS:
        known = ["all", *METHODS]
        raise TransferlabError(f"--method: no method {method!r}{near(method, known)}; known: {', '.join(known)}.")
    if method not in fitting:
        raise TransferlabError(f"--method: {method} is not for {kind}; use all, {' or '.join(fitting)}.")
    return [method]
