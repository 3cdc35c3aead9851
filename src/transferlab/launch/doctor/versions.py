"""Releases of Python and of the libraries, against the bounds that the installed package declares."""

import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from transferlab.launch.doctor.finding import NOTE, OK, WRONG, Finding, State

PACKAGE = "transferlab"
SHOWN = ("lightning", "torch", "transformers", "jsonargparse")
"""Libraries whose releases are shown where all are right."""


def required() -> Iterator[Finding]:
    """Python, and what is always needed."""
    try:
        declared = metadata.metadata(PACKAGE)
    except metadata.PackageNotFoundError:
        text = "not installed: the bounds of its libraries are unknown"
        yield Finding(PACKAGE, WRONG, text, "pip install -e . in the checkout, or make install")
        return
    bounds = declared["Requires-Python"] or ""
    release = platform.python_version()
    if SpecifierSet(bounds).contains(release, prereleases=True):
        yield Finding("Python", OK, release)
    else:
        yield Finding("Python", WRONG, f"{release} is not {bounds}", f"make a new environment with Python {bounds}")
    needed = [requirement for requirement in requirements() if _is_needed(requirement)]
    faults = [fault for requirement in needed if (fault := check(requirement, WRONG))]
    yield from faults
    if not faults:
        shown = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
        yield Finding("libraries", OK, f"{len(needed)} within their bounds: {shown}")


def optional() -> Iterator[Finding]:
    """What is needed for one thing only, where it is installed."""
    extra = {str(requirement): requirement for requirement in requirements() if not _is_needed(requirement)}
    # one library can belong to several extras
    found = {}
    for requirement in extra.values():
        if _version(requirement.name) and (fault := check(requirement, NOTE)):
            found[fault.text] = fault
    yield from found.values()


def requirements() -> list[Requirement]:
    """What the installed package declares; empty where it is not installed."""
    try:
        return [Requirement(line) for line in metadata.requires(PACKAGE) or []]
    except metadata.PackageNotFoundError:
        return []


def check(requirement: Requirement, state: State) -> Finding | None:
    """What is wrong with the installed release; None where nothing is.

    Args:
        requirement: Name and bounds.
        state: How bad it is.
    """
    remedy = f"pip install '{requirement.name}{_extras(requirement)}{requirement.specifier}'"
    found = _version(requirement.name)
    if found is None:
        return Finding(requirement.name, state, "is not installed", remedy)
    if requirement.specifier.contains(found, prereleases=True):
        return None
    return Finding(requirement.name, state, f"{found} is outside of {requirement.specifier}", remedy)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_needed(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
