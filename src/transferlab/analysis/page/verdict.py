"""What a reader wants to know first: which setting wins, at what cost, and which are not shown to be worse."""

from collections.abc import Sequence

from transferlab.analysis.comparison.columns import ASSUMED, p_text
from transferlab.analysis.comparison.groups import is_baseline
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, join, tag
from transferlab.analysis.page.scales import amount
from transferlab.analysis.page.settings import difference, mean_of, named, runs_of, shown

MOST = 6
"""Settings that a sentence names."""


RULE = (
    "Worse: p under 0.05, over seeds and test examples, corrected for the number of comparisons (Holm); the intervals "
    "of the differences (95 %) are not corrected. Time and parameters are means over the runs."
)


def verdict(task: Task, anchor: str) -> Html:
    """Sentences on one task, from the tests of its settings against the best one.

    Args:
        task: The settings.
        anchor: Id of its section.
    """
    title = tag("a", tag("strong", task.name), href=f"#{anchor}")
    scored = [setting for setting in task.settings if setting.group.score is not None]
    best = next((setting for setting in scored if setting.row.best), None)
    if best is None:
        why = "every one with a test result failed or collapsed" if scored else "no run has a test result"
        return tag("p", title, f": nothing can be said, since {why}.")
    first = tag(
        "p",
        *(title, ": ", named(best)),
        f" has the best test {task.metric}, {shown(best.group.score)} ({runs_of(best)}{_cost(best)}).",
    )
    return join(first, tag("ul", *(tag("li", item) for item in _items(best, scored))))


def _items(best: Setting, scored: Sequence[Setting]) -> list[Html]:
    others = [setting for setting in scored if setting is not best]
    tested = [setting for setting in others if setting.row.p is not None]
    untested = [setting for setting in others if setting.row.p is None]
    kinds = (
        ("Not shown to be worse", [setting for setting in tested if setting.row.tied]),
        ("Worse", [setting for setting in tested if not setting.row.tied]),
        ("Not tested, being one run against two", [s for s in untested if s.row.difference is not None]),
        ("Not tested, for want of predictions on the same examples", [s for s in untested if s.row.difference is None]),
    )
    items = [_listed(what, found) for what, found in kinds if found]
    if not others:
        items.append(join("There is nothing to compare it with."))
    strategies = [setting for setting in scored if not is_baseline(setting.group.runs[0])]
    if strategies and is_baseline(best.group.runs[0]):
        items.append(join("No strategy is above this baseline."))
    elif below := [setting for setting in strategies if setting.row.below]:
        items.append(
            join(f"Below the baseline {below[0].row.below}: ", *_commas([named(one) for one in below[:MOST]]), ".")
        )
    if tested and all(len(setting.runs) == 1 for setting in scored):
        items.append(join("Single runs: p speaks of these trained models only, not of another seed."))
    if any(setting.row.assumed for setting in tested):
        items.append(
            join(f"{ASSUMED} One run against several: p takes the single run to vary over seeds as much as the other.")
        )
    return items


def _listed(what: str, found: Sequence[Setting]) -> Html:
    parts = [join(named(setting), _facts(setting)) for setting in found[:MOST]]
    if len(found) > MOST:
        parts.append(join(f"and {len(found) - MOST} more"))
    return join(f"{what}: ", *_commas(parts), ".")


def _commas(parts: Sequence[Html]) -> list[Html]:
    return [join(", " if place else "", part) for place, part in enumerate(parts)]


def _facts(setting: Setting) -> str:
    if setting.row.p is None:
        return f" ({shown(setting.group.score)})"
    p = p_text(setting.row)
    return f" ({difference(setting)}, p {p if p.startswith('<') else f'= {p}'}{_cost(setting)})"


def _cost(setting: Setting) -> str:
    seconds, trainable = mean_of(setting, "perf", "wall_s"), mean_of(setting, "params", "trainable")
    parts = [f"{amount(seconds)} s"] if seconds is not None else []
    parts += [f"{amount(trainable)} trainable parameters"] if trainable is not None else []
    return f"; {', '.join(parts)}" if parts else ""
