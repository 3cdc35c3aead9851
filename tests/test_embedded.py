import random
from collections import Counter

import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import embedded, embedded_answers, embedded_relations, embedded_slots
from transferlab.tasks.marked import plain
from transferlab.tasks.table import TASKS

PARTS = [(config, split) for config, sizes in embedded.SIZES.items() for split in sizes]
FIRST = {
    ("sentences", "train"): "The meal was hostile, and the journey was filthy too.",
    ("sentences", "test"): "The hotel we talked about yesterday was masterful.",
    ("pairs", "train"): "It is true that Liam desired it last year. Liam dreaded it last year.",
    (
        "pairs",
        "test",
    ): "What Mia talked about yesterday was the supper. It was the conference that Mia talked about yesterday.",
    ("entities", "train"): "elephant and tokyo were the next two words",
    ("entities", "test"): "blue jay and bucket were the next two words",
    ("topics", "train"): "They looked up siamese cat in the dictionary",
    ("topics", "test"): "She typed island into the search box",
    (
        "answers",
        "train",
    ): "What did Frank buy? Frank bought a small farm last year. James lives in Madrid. Frank studied geology. "
    "Frank lives in Paris. Last spring James bought an old car. Boris lives in Berlin.",
    (
        "answers",
        "test",
    ): "Which instrument does Julia play? Peter lives in Boston. At the university Julia studied botany. "
    "In the evening Peter plays the organ. Robert has a flat in Rome. At the university Peter studied botany. "
    "Robert plays the organ.",
    ("dates", "train"): "5 August 1983",
    ("dates", "test"): "day 27 of January in the year 1985",
    ("slots", "train"): "who sells butter in beach",
    ("slots", "test"): "any storms in stadium next month",
    ("relations", "train"): "<e2>Iris</e2> , who knows Carla , coached <e1>Jack</e1> .",
    ("relations", "test"): "<e1>Mia</e1> , who knows Sam , recruited <e2>Noah</e2> .",
}


BEGIN = [i for i, tag in enumerate(TASKS["demo_entities"].labels) if tag.startswith("B-")]


def content_words(config, split):
    """The words that carry the label."""
    if config == "sentences":
        return {word for words in embedded.SENTIMENT[split].values() for word in words}
    if config == "pairs":
        return {word for entries in embedded.SENSES[split].values() for entry in entries for word in entry.split("/")}
    if config == "relations":
        verbs = {verb for words in embedded_relations.VERBS[split].values() for verb in words}
        return verbs | {name.lower() for name in embedded_relations.PEOPLE[split]}
    if config == "answers":
        things = {word for part in embedded_answers.THINGS[split].values() for thing in part for word in thing.split()}
        return {word.lower() for word in {*things, *embedded_answers.NAMES[split]}} - {"a", "an", "the", "two", "three"}
    if config == "dates":
        # whole dates are new in the test, not their words
        return set()
    if config == "slots":
        names = [*embedded.ENTITIES[split]["FOOD"], *embedded.ENTITIES[split]["PLACE"]]
        return {word for name in names for word in name.split("_")}
    phrases = [phrase for words in embedded.ENTITIES[split].values() for phrase in words]
    return {word for phrase in [*phrases, *embedded.DECOYS[split]] for word in phrase.split("_")}


def filler_words(config):
    """The words that stand around them."""
    if config in {"entities", "topics"}:
        return set(" ".join(embedded.CLUES).split())
    if config == "relations":
        return set(" ".join(embedded_relations.FRAMES).lower().split())
    if config == "answers":
        frames = [
            frame for part in (embedded_answers.TOLD, embedded_answers.ASKED) for fs in part.values() for frame in fs
        ]
        return {word.strip(".?") for word in " ".join(frames).lower().split()}
    if config == "slots":
        return {
            word
            for part in embedded_slots.REQUESTS.values()
            for frames in part.values()
            for word in " ".join(frames).split()
        }
    frames = embedded.SENTENCES if config == "sentences" else [f for fs in embedded.FRAMES.values() for f in fs]
    fillers = embedded.SUBJECTS if config == "sentences" else embedded.NAMES
    text = " ".join([*frames, *fillers, *embedded.TIMES]).lower()
    return {word.strip(".,!") for word in text.split()}


def texts(rows):
    """The input of each row as one string."""
    if "tokens" in rows.column_names:
        return [" ".join(tokens) for tokens in rows["tokens"]]
    columns = [name for name in rows.column_names if name not in {"label", "answers", "target"}]
    return [" ".join(values) for values in zip(*(rows[name] for name in columns), strict=True)]


@pytest.fixture(scope="module")
def parts():
    return {part: embedded.generate(*part) for part in PARTS}


@pytest.mark.parametrize("part", PARTS, ids="/".join)
def test_generate_again_gives_same_rows(parts, part):
    assert list(embedded.generate(*part)) == list(parts[part])


def test_generate_leaves_global_randomness_alone():
    state = random.getstate()
    embedded.generate("sentences", "test")
    assert random.getstate() == state


def test_first_rows_are_pinned(parts):
    """Figures rest on these rows: they must not drift with Python or with the platform."""
    assert {part: texts(rows)[0] for part, rows in parts.items()} == FIRST


@pytest.mark.parametrize("part", PARTS, ids="/".join)
def test_rows_have_size_and_columns_of_the_task(parts, part):
    config, split = part
    task, rows = TASKS[f"demo_{config}"], parts[part]
    assert len(rows) == embedded.SIZES[config][split]
    more = ["intent"] if task.kind == "slots" else []
    assert rows.column_names == [*task.text, task.label, *more]
    if task.kind == "slots":
        assert set(rows["intent"]) == set(embedded_slots.INTENTS)
        return
    assert rows.names.get(task.label, ()) == task.labels
    if task.kind == "text":
        assert isinstance(rows[task.label][0], str)
    if task.kind == "qa":
        assert {name for answers in rows[task.label] for one in answers for name in one} == {"text", "answer_start"}


@pytest.mark.parametrize("config", embedded.SIZES)
def test_no_row_comes_twice(parts, config):
    rows = [str(list(row.values())[:-1]) for split in ("train", "test") for row in parts[config, split]]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("config", embedded.SIZES)
def test_content_words_are_disjoint(config):
    train, test = content_words(config, "train"), content_words(config, "test")
    assert not train & test
    assert not {word[:5] for word in train} & {word[:5] for word in test}
    assert not (train | test) & filler_words(config)


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_word_belongs_to_two_classes(split):
    lists = [
        [embedded.SENTIMENT[split][label] for label in ("negative", "positive")],
        [tuple(entry.split("/")) for entries in embedded.SENSES[split].values() for entry in entries],
        [*embedded.ENTITIES[split].values(), embedded.DECOYS[split]],
    ]
    for words in lists:
        counts = Counter(word for part in words for word in part)
        assert not [word for word, count in counts.items() if count > 1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_content_word_occurs(parts, split):
    for config in embedded.SIZES:
        seen = {word.strip(".,!?").lower() for text in texts(parts[config, split]) for word in plain(text).split()}
        assert not content_words(config, split) - seen


def test_word_lists_are_rich():
    for split, least in (("train", 40), ("test", 30)):
        assert all(len(words) >= least for words in embedded.SENTIMENT[split].values())
        assert all(len(words) >= least for words in embedded.ENTITIES[split].values())
        assert len(content_words("pairs", split)) >= 4 * least
        assert all(entry.count("/") == 3 for entries in embedded.SENSES[split].values() for entry in entries)


@pytest.mark.parametrize("config", ["sentences", "pairs"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_are_balanced(parts, config, split):
    counts = Counter(parts[config, split]["label"])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_words_of_pairs_say_nothing_alone(parts, split):
    """Each premise and each hypothesis is as common under one label as under the other."""
    rows = parts["pairs", split]
    for column in ("premise", "hypothesis"):
        counts = Counter(zip(rows[column], rows["label"], strict=True))
        assert all(counts[text, 0] == counts[text, 1] for text, _ in counts)


@pytest.mark.parametrize("config", ["sentences", "pairs"])
def test_word_counts_do_not_transfer(parts, config):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = parts[config, "train"], parts[config, "test"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit(texts(train), train["label"])
    assert 0.35 <= model.score(texts(test), test["label"]) <= 0.65


@pytest.mark.parametrize("split", ["train", "test"])
def test_tags_are_iob2(parts, split):
    labels = TASKS["demo_entities"].labels
    for row in parts["entities", split]:
        assert len(row["tokens"]) == len(row["tags"])
        names = [labels[tag] for tag in row["tags"]]
        for before, tag in zip(["O", *names], names, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:]


@pytest.mark.parametrize("split", ["train", "test"])
def test_entity_types_are_balanced_and_have_long_names(parts, split):
    labels = TASKS["demo_entities"].labels
    counts = Counter(labels[tag] for tags in parts["entities", split]["tags"] for tag in tags)
    begun = [counts[f"B-{name}"] for name in embedded.ENTITIES[split]]
    assert max(begun) <= 1.1 * min(begun)
    assert all(counts[f"I-{name}"] >= 0.1 * counts[f"B-{name}"] for name in embedded.ENTITIES[split])


def tagged_tokens(rows):
    """Triples of position, token and tag."""
    for tokens, tags in zip(rows["tokens"], rows["tags"], strict=True):
        yield from zip(range(len(tokens)), tokens, tags, strict=True)


def lookup(keys_and_tags):
    """The most frequent tag of each key."""
    counts = {}
    for key, tag in keys_and_tags:
        counts.setdefault(key, Counter())[tag] += 1
    return {key: tags.most_common(1)[0][0] for key, tags in counts.items()}


def test_surroundings_do_not_tell_the_entity_type(parts):
    """The words around and the position, learnt from the training part, find the type no better than a guess does."""

    def contexts(rows):
        for tokens, tags in zip(rows["tokens"], rows["tags"], strict=True):
            padded = ["<", *tokens, ">"]
            yield from (((i, padded[i]), tag) for i, tag in enumerate(tags) if tag in BEGIN)

    best = lookup(contexts(parts["entities", "train"]))
    hits = [best.get(key) == tag for key, tag in contexts(parts["entities", "test"])]
    assert sum(hits) / len(hits) < 0.45


def test_position_does_not_tell_entities_from_other_words(parts):
    train, test = parts["entities", "train"], parts["entities", "test"]
    best = lookup((position, tag > 0) for position, _, tag in tagged_tokens(train))
    found = [best.get(position, False) for position, _, tag in tagged_tokens(test) if tag]
    assert sum(found) / len(found) < 0.5


def test_known_words_do_not_find_the_test_entities(parts):
    known = lookup((token, tag) for _, token, tag in tagged_tokens(parts["entities", "train"]))
    assert not [token for _, token, tag in tagged_tokens(parts["entities", "test"]) if tag and token in known]


@pytest.mark.parametrize(("config", "split"), [("sentence", "train"), ("", "train"), ("pairs", "validation")])
def test_unknown_names_are_refused(config, split):
    with pytest.raises(TransferlabError) as error:
        embedded.generate(config, split)
    known = embedded.SIZES["pairs"] if config == "pairs" else embedded.SIZES
    assert all(name in str(error.value) for name in known)
