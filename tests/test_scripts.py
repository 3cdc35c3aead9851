"""Words of scripts without blanks: counted, copied, compared and predicted letter by letter."""

import re

import numpy as np

from transferlab.baselines.methods import TfIdf
from transferlab.baselines.rows import Part
from transferlab.ground import words
from transferlab.tasks import TaskSpec
from transferlab.tasks.augmentation.copies import changed
from transferlab.tasks.augmentation.edits import Known
from transferlab.tasks.inspection.plain import words_of
from transferlab.use.prediction.words import of_text


def test_letters_of_scripts_without_blanks_are_words():
    text = "\u8fd9\u90e8\u7535\u5f71 ok,\u5f88\u597d don't"
    han = ["\u8fd9", "\u90e8", "\u7535", "\u5f71"]
    assert re.findall(words.PATTERN, text) == [*han, "ok", ",", "\u5f88", "\u597d", "don't"]
    assert words.parted(text) == [*han, "ok,", "\u5f88", "\u597d", "don't"]
    assert of_text(text).words == [*han, "ok", ",", "\u5f88", "\u597d", "don't"]
    assert words.joined(words.parted(text)) == "\u8fd9\u90e8\u7535\u5f71ok,\u5f88\u597ddon't"
    # vowels of Hindi belong to their words, and the full stop does not
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902\u0964"
    assert re.findall(words.PATTERN, hindi) == ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902", "\u0964"]
    assert words_of(text) == "\u8fd9 \u90e8 \u7535 \u5f71 ok \u5f88 \u597d dont"
    for plain in ("A film, isn't it?", "caf\u00e9  na\u00efve\n1,000 e-mail"):
        assert words.parted(plain) == plain.split()
        assert words.joined(plain.split()) == " ".join(plain.split())


def test_counted_words_of_chinese_tell_classes_apart():
    films = [f"{name}\u5f88{word}\u770b" for name in "\u7532\u4e59\u4e19\u4e01\u620a\u5df1" for word in "\u597d\u96be"]
    task = TaskSpec("mood", "classification", ("good", "bad"), ("accuracy",))
    labels = np.array([0, 1] * 6)
    method = TfIdf(task, 0)
    train, held_out = Part(np.arange(8), (films[:8],), labels[:8]), Part(np.arange(4), (films[8:],), labels[8:])
    method.fit(train, held_out)
    # no clause of the test texts stands in the training texts, each of their letters but the name does
    assert (np.asarray(method.predict(held_out)).argmax(-1) == labels[8:]).all()


def test_copies_of_chinese_keep_what_turns_the_meaning():
    text = "\u8fd9\u90e8\u7535\u5f71\u4e0d\u597d\u770b\u4f46\u6f14\u5458\u52aa\u529b"
    found = {changed((text,), number, ["swap", "delete"], 0, Known(0.2)) for number in range(20)}
    assert len(found) > 10
    for (copy,) in found:
        assert " " not in copy
        assert copy.index("\u4e0d") < copy.index("\u4f46")
    # kana alone are no words
    assert changed(("\u3053\u308c\u306f\u3088\u304f\u306a\u3044",), 0, ["swap", "delete"], 0, Known(0.2)) is None
