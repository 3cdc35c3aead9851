#!/usr/bin/env bash
# spacy 3.8.18: wrong entities in texts that have none are not counted, unless someone said that they have none.
#
# Guessed: a gold text made by nlp.make_doc, whose entities are set where there are any, has none otherwise; an entity that a model finds
# in it costs precision.
# Seen: entities that were never set are missing, not absent, and Scorer leaves such texts out: precision 1.0 where half of what was
# found is wrong. A loop with "if spans: doc.ents = spans" does so to every text without an entity, which is where models invent them.
# DocBin keeps the difference, so a file of such texts scores too well as well, and training learns nothing from them. doc.ents = []
# says that there are none; doc.ents is empty in both cases, and nothing warns.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check spacy==3.8.18
"$place/venv/bin/python" - <<'PY'
import warnings

import spacy
from spacy.scorer import Scorer
from spacy.tokens import DocBin
from spacy.training import Example

warnings.simplefilter("error", UserWarning)
nlp = spacy.blank("en")
TEXTS = {"Ann sleeps": ["Ann"], "Rain falls": []}


def texts(found, always):
    made = []
    for text in TEXTS:
        doc = nlp.make_doc(text)
        spans = [doc.char_span(text.index(word), text.index(word) + len(word), label="PER") for word in found[text]]
        if spans or always:
            doc.ents = spans
        made.append(doc)
    return list(DocBin(docs=made).get_docs(nlp.vocab))


predicted = {"Ann sleeps": ["Ann"], "Rain falls": ["Rain"]}
precision = {}
for always in (False, True):
    gold = texts(TEXTS, always)
    assert [[span.text for span in doc.ents] for doc in gold] == [["Ann"], []]
    pairs = [Example(guess, truth) for guess, truth in zip(texts(predicted, True), gold)]
    precision["said" if always else "left out"] = Scorer().score(pairs)["ents_p"]
print("spacy", spacy.__version__, "precision where the absence of entities is", precision)
assert precision["said"] == 0.5
assert precision["left out"] == 1.0, "texts whose entities were never set are scored now"
PY
