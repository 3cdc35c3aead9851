"""Means, standard deviations and patterns that give what the standard library gives."""

import math
import random
import re
import statistics

import pytest

from transferlab.analysis.comparison import averages
from transferlab.ground.patterns import later


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-300, 5e-324, 1e300, 2.0**52])
def test_they_are_those_of_the_standard_library_digit_for_digit(scale):
    generator = random.Random(0)
    for count in (2, 3, 5, 30):
        for shift in (0.0, 0.9, -1e6):
            values = [(generator.gauss(0, 1) * 10 ** generator.uniform(-3, 3) + shift) * scale for _ in range(count)]
            values = [value for value in values if math.isfinite(value)] + [0.0, scale]
            assert averages.mean(values) == statistics.fmean(values)
            assert averages.deviation(values) == statistics.stdev(values)


@pytest.mark.parametrize("values", [[1, 4, 7], [1, 2.5], [True, False], [0.1, 0.1], [0.0, -0.0], [1.5, 1e-320]])
def test_whole_numbers_and_equal_ones(values):
    assert averages.deviation(values) == statistics.stdev(values)
    assert averages.mean(values) == statistics.fmean(values)


def test_a_pattern_is_compiled_when_it_is_asked():
    found, wrong = later(r"(\d+)-(\w)"), later("(")
    assert found.fullmatch("12-x").groups() == ("12", "x")
    assert found.findall("1-a 2-b") == [("1", "a"), ("2", "b")]
    assert found.pattern == r"(\d+)-(\w)"
    assert found.flags == re.compile(found.pattern).flags
    with pytest.raises(re.error):
        wrong.search("")
