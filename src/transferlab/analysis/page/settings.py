"""Settings by number and name, and their tables: quality, and cost."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from transferlab.analysis.comparison.columns import p_text
from transferlab.analysis.comparison.groups import Estimate, estimate, faults, score_of, value
from transferlab.analysis.comparison.notes import notes
from transferlab.analysis.page import charts
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, join, note, table, tag
from transferlab.analysis.page.scales import amount
from transferlab.tasks import cuts
from transferlab.tasks.inspection import telling
from transferlab.tasks.spec import WORDED

COSTS = (
    ("trainable parameters", ("params", "trainable")),
    ("wall time, s", ("perf", "wall_s")),
    ("peak memory, MB", ("perf", "peak_mem_mb")),
    ("checkpoint, MB", ("checkpoint_mb",)),
    ("whole model, MB", ("model_mb",)),
    ("latency of one example, ms", ("test", "latency_ms")),
)
OF_TEXTS = (
    ("written tokens a second", ("test", "generated_tokens_s")),
    ("seconds for 1,000 outputs", ("test", "seconds_per_1000")),
)
NARROW = "\N{NO-BREAK SPACE}"
SHARE = ("trainable, %", ("params", "trainable_pct"))
SPEED = ("examples a second", ("perf", "samples_s"))


def mean_of(setting: Setting, *keys: str) -> float | None:
    """Mean of a number over the runs that count."""
    found = [v for run in setting.runs if (v := value(run, *keys)) is not None]
    return sum(found) / len(found) if found else None


def shown(score: Estimate | None) -> str:
    """Mean, and half of the interval where there is one."""
    if score is None:
        return "-"
    return f"{score.mean:.4f}" + (f" ± {score.high - score.mean:.4f}" if score.high is not None else "")


def mark(setting: Setting) -> Html:
    """The coloured number of a setting."""
    return tag("span", str(setting.number), class_=f"mark {charts.colour(setting.number)}")


def named(setting: Setting) -> Html:
    """Number and name."""
    return join(mark(setting), " ", setting.name)


def runs_of(setting: Setting) -> str:
    """How many runs count and with which seeds, such as ``3 runs, seeds 0 to 2``."""
    seeds = setting.group.seeds
    if not seeds:
        return "none finished"
    count = len(setting.group.counted)
    if count > len(seeds):
        return f"{count} folds, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"
    if len(seeds) == 1:
        return f"1 run, seed {seeds[0]}"
    whole = len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1))
    listed = f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))
    return f"{len(seeds)} runs, seeds {listed}"


def _in_two(text: str) -> str:
    """A text that breaks behind its first comma only."""
    return text.replace(" ", NARROW).replace(f",{NARROW}", ", ", 1)


def difference(setting: Setting) -> str:
    """Distance to the best with its interval; empty where it was not tested."""
    row = setting.row
    if row.difference is None:
        return ""
    ends = "" if row.half is None else f" [{row.difference - row.half:+.3f}, {row.difference + row.half:+.3f}]"
    return f"{row.difference:+.4f}{ends}"


def _cut(task: Task) -> list[str]:
    """What truncation cuts off the texts, once for settings that agree in it."""
    told: dict[str, list[str]] = {}
    for setting in task.settings:
        data: dict[str, Any] = next((run["data"] for run in setting.runs if isinstance(run.get("data"), dict)), {})
        if said := cuts.in_words(data.get("cut") or {}, task.known("kind") in WORDED):
            told.setdefault(said, []).append(setting.name)
    whose = {said: "" if len(told) == 1 else f" by {', '.join(names)}" for said, names in told.items()}
    return [f"Cut off by truncation{whose[said]}: {said}." for said in told]


def results(task: Task) -> Html:
    """All settings with their scores, tested against the best, and a table of costs."""
    metric = task.metric
    head = ["setting", "", f"test {metric}", "difference to the best", "p (Holm)", "runs", f"val {metric}"]
    head += ["training examples", "faults"]
    rows = [_quality(setting) for setting in task.settings]
    costs = (COSTS[0], SHARE, *COSTS[1:], SPEED, *(OF_TEXTS if task.known("kind") == "text" else ()))
    paid = [
        [named(setting), *("-" if cost is None else amount(cost) for cost in _means(setting, costs))]
        for setting in task.settings
        if setting.runs
    ]
    seen = telling.in_line(task.known("inspection") or {})
    told = [
        *([f"Data: {seen}."] if seen else []),
        *_cut(task),
        "± is half of the 95 % interval of the mean over seeds (Student's t); other test examples are not in it.",
        "The interval of a difference is over seeds and test examples (over test examples alone where both are single "
        "runs), and is not corrected for the number of comparisons; p is.",
        *notes([setting.row for setting in task.settings]),
    ]
    return join(
        table(head, rows, numeric=(2, 3, 4, 6, 7), class_="stack"),
        [note(text) for text in told],
        tag("h4", "Cost, means over the runs"),
        table(["setting", *(name for name, _ in costs)], paid, numeric=range(1, len(costs) + 1), class_="stack"),
    )


def _means(setting: Setting, costs: Sequence[tuple[str, tuple[str, ...]]]) -> list[float | None]:
    return [mean_of(setting, *keys) for _, keys in costs]


def _quality(setting: Setting) -> list[Html | str]:
    row = setting.row
    bad = Counter(fault for run in setting.group.runs for fault in faults(run))
    values = [v for run in setting.runs if (v := score_of(run, "val")) is not None]
    star = "★" if row.best or row.tied else ""
    return [
        named(setting),
        " ".join(part for part in (star, f"▼ {row.below}" if row.below else "") if part),
        shown(setting.group.score),
        "best" if row.best else difference(setting),
        p_text(row),
        _in_two(runs_of(setting)),
        shown(estimate(values)),
        str(setting.group.key.train_examples or "-"),
        "; ".join(f"{fault}: {count} of {len(setting.group.runs)} runs" for fault, count in bad.items()),
    ]
