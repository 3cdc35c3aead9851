"""Damaged input ends in a message: no traceback, no hang, no half-written run directory, no wrong number."""

from collections import Counter

import pytest

from tests import fuzz
from transferlab.cli import train  # noqa: F401  # what a forked process need not import
from transferlab.cli.parsing import collected


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    collected()
    return tiny_folder


def examine(tmp_path, encoder, count, seed=0):
    reference = fuzz.prepare(tmp_path, encoder)
    found = [fuzz.examine(tmp_path, number, encoder, reference, seed) for number in range(count)]
    faults = [one for one in found if one.fault]
    print(Counter((one.kind, one.fault or f"exit code {one.code}") for one in found))
    for one in faults:
        print(f"\n{one.fault}: number {one.number}, {one.kind}: {one.what}\n{one.output[-1500:]}")
    assert [f"{one.number} {one.kind} {one.fault}" for one in faults] == []


def test_twenty_damaged_inputs(tmp_path, encoder):
    examine(tmp_path, encoder, 20)


@pytest.mark.slow
def test_a_thousand_damaged_inputs(tmp_path, encoder):
    examine(tmp_path, encoder, 1000, seed=1)
