#!/usr/bin/env bash
# scikit-learn 1.9.1: bigrams of a vectorizer with stop words are of words that do not stand beside each other.
#
# Guessed: ngram_range=(1, 2) and stop_words="english" give the bigrams of the text, without those that hold a stop word.
# Seen: stop words are taken out first and bigrams are made of what is left: "the movie was not good" has "movie good", the very
# feature of "the movie was good", so that the two texts are one to any model: "not" is a stop word. Asked for bigrams to tell
# them apart, one gets vectors that are equal.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1
"$place/venv/bin/python" -W ignore - <<'PY'
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer

texts = ["the movie was good", "the movie was not good"]
with_stops = TfidfVectorizer(ngram_range=(1, 2), stop_words="english").fit(texts)
names = with_stops.get_feature_names_out().tolist()
good, bad = with_stops.transform(texts).toarray()
plain = TfidfVectorizer(ngram_range=(1, 2)).fit_transform(texts).toarray()
print("scikit-learn", sklearn.__version__, names, "equal:", (good == bad).all(), "without stop words:", (plain[0] == plain[1]).all())
assert names == ["good", "movie", "movie good"] and (good == bad).all(), "bigrams are of neighbours now"
assert not (plain[0] == plain[1]).all(), "bigrams tell nothing apart"
PY
