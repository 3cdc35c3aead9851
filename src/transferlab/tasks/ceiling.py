"""What is told of questions before a run: their windows, and what gold answers tokens can give."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from transferlab.tasks import squad
from transferlab.tasks.windows import Array, Piece

EXAMPLES = 3
"""Answers that a message shows."""


class Seen:
    """What is seen of questions with known answers while they are tokenised.

    Attributes:
        counts: ``answered`` and ``reached`` questions; windows ``with_answer``, ``without`` and ``dropped``.
        lengths: Tokens of an answer to how many have so many.
        lost: A gold answer and what its tokens give, for some that do not come back.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.lost: list[list[str]] = []

    def answer(
        self, known: list[tuple[int, int]], found: Sequence[Piece], spots: Array, text: str, golds: list[str]
    ) -> None:
        """Counts whether a gold answer comes back from its tokens, and how many it has.

        Args:
            known: First and last token of each gold answer that has any.
            found: The windows of the context.
            spots: Where its tokens stand in it ``[tokens, 2]``.
            text: The context.
            golds: The texts of the gold answers.
        """
        whole = [s for s in known if any(p.first <= s[0] and s[1] < p.first + p.length for p in found)]
        told = [text[spots[one, 0] : spots[last, 1]] for one, last in whole]
        self.counts["answered"] += 1
        if any(squad.scores(answer, golds)[0] for answer in told):
            self.counts["reached"] += 1
            self.lengths[min(last - one + 1 for one, last in whole)] += 1
        elif len(self.lost) < EXAMPLES:
            self.lost.append([golds[0], told[0] if told else ""])

    def facts(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        names = ("answered", "reached", "with_answer", "without", "dropped")
        lengths = {str(length): count for length, count in sorted(self.lengths.items())}
        return {name: self.counts[name] for name in names} | {"lengths": lengths, "lost": self.lost}


def in_words(facts: Mapping[str, Any], longest: int) -> dict[str, str]:
    """What is told of questions before a run, by name.

    Args:
        facts: What `transferlab.tasks.questions.encode` saw.
        longest: Tokens that an answer may have.
    """
    if "answered" not in facts:
        return {}
    none = facts["questions"] - facts["answered"]
    trained = facts["with_answer"] + facts["without"] - facts["dropped"]
    windows = (
        f"{facts['windows']:,} of {facts['questions']:,} questions on {facts['contexts']:,} contexts; "
        f"{facts['with_answer']:,} hold the answer, {facts['without']:,} do not"
        + (
            f", {facts['dropped']:,} of these are left out (data.negative_windows), {trained:,} remain"
            if facts["dropped"]
            else ""
        )
        + (f"; {none:,} questions have no answer" if none else "")
    )
    beyond = sum(count for length, count in facts["lengths"].items() if int(length) > longest)
    share = 100 * (facts["reached"] - beyond) / max(facts["answered"], 1)
    ceiling = f"EM {share:.1f}: so many gold answers come back from their tokens"
    if beyond:
        ceiling += f"; {beyond:,} have more than {longest} tokens (model.head.longest)"
    if share < 99 and facts["lost"]:
        ceiling += "; not, for example, " + ", ".join(f"{gold!r} (read {told!r})" for gold, told in facts["lost"])
    how = "by character where there are Han or Kana letters" if facts["by_character"] else ""
    return {name: said for name, said in {"windows": windows, "ceiling": ceiling, "scored": how}.items() if said}
