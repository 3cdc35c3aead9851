"""What `compare` and `report` work out of the files of a run, kept in its folder so that it is worked out once.

An entry names its sources by size and times, and by their content. It is used where these are the same; where only the
times differ (a copied folder) the content decides. So an entry is never older than its sources. It is written whole or
not at all, whoever else reads at the time.
"""

import contextlib
import hashlib
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.config.places import cache_folder
from transferlab.ground.contents import content

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FOLDER = ".read"
"""In a run directory; it can be removed at any time. Of one that cannot be written, in the folder of caches."""
VERSION = 1
"""Of the form of an entry."""
SETTLED = 2_000_000_000
"""Nanoseconds: a file that changed so shortly before it was read might change again and keep its times."""
TICK = 50_000_000
"""The same where the file system tells parts of a millisecond: such a clock ticks every 10 ms at the latest."""
Sources = Sequence[bytes | None]
State = tuple[int, int, int, int] | None
"""Size, times of change of content and of facts in nanoseconds, and number of a file; None where there is none."""


def kept(folder: Path | str, name: str, files: Sequence[str], key: str, make: Callable[[Sources], bytes]) -> bytes:
    """An entry of a run, made where there is none that fits.

    Args:
        folder: The run directory.
        name: Of the entry.
        files: What it is made from, relative to the folder.
        key: What else it depends on, such as the version of the code that makes it.
        make: From the contents of the files, None for one that is not there; what it raises passes through.
    """
    places = [f"{folder}{os.sep}{file}" for file in files]
    now = _head(key, _before(places))
    path = f"{folder}{os.sep}{FOLDER}{os.sep}{name}"
    found = open_entry(path) or open_entry(_elsewhere(folder, name))
    if found and found[0] == now:
        return found[2]
    began = time.time_ns()
    states = [state(place) for place in places]
    sources = [_content(place) for place in places]
    digests = [None if source is None else hashlib.sha256(source).hexdigest() for source in sources]
    same = json.dumps([key, digests]).encode()
    payload = found[2] if found and found[1] == same else make(sources)
    # times of just now may stay what they are at the next change: the content is asked again then
    head = _head(key, states if settled(states, began) else None)
    write_entry((path, _elsewhere(folder, name)), head, same, payload)
    return payload


def again(name: str, places: Sequence[str], key: str, make: Callable[[], bytes]) -> bytes:
    """What was made of the files of many runs, as long as none of them changes; else it is made.

    Unlike an entry of one run it is told by sizes and times alone, so that a thousand files need not be opened.

    Args:
        name: Of the entry, in the folder of caches.
        places: The files.
        key: What else it depends on.
        make: What it raises passes through.
    """
    began = time.time_ns()
    states = _before(places)
    head = hashlib.sha256(_head(key, states)).hexdigest().encode()
    path = os.path.join(cache_folder(), "read", name)
    found = open_entry(path)
    if found and found[0] == head:
        return found[2]
    payload = make()
    if settled(states, began):
        write_entry((path, path), head, b"", payload)
    return payload


def settled(states: Sequence[State], began: int) -> bool:
    """Whether all files had been there for so long that another change shows in their times."""
    return all(state is None or began - max(state[1:3]) > _tick(state[1]) for state in states)


def _tick(time_ns: int) -> int:
    return min(TICK, SETTLED) if time_ns % 1_000_000 else SETTLED


def _head(key: str, states: Any) -> bytes:
    return json.dumps([VERSION, key, states]).encode()


def state(place: str) -> State:
    """What tells whether a file or a folder changed, without opening it."""
    try:
        facts = os.stat(place)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


@contextlib.contextmanager
def seen(states: Mapping[str, State]) -> Iterator[None]:
    """Takes files for what they were a moment ago, when all of them were asked, as long as entries are looked for.

    Several entries are made of a file, and there are thousands. An entry that fits is then of that moment; one that is
    made meanwhile of a file that changed since is never found again, since no file gets its earlier times back.
    """
    _SEEN.update(states)
    try:
        yield
    finally:
        _SEEN.clear()


_SEEN: dict[str, State] = {}


def _before(places: Sequence[str]) -> list[State]:
    return [_SEEN[place] if place in _SEEN else state(place) for place in places]


def _content(place: str) -> bytes | None:
    try:
        return content(place)
    except OSError:
        return None


def _elsewhere(folder: Path | str, name: str) -> str:
    digest = hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:32]
    return os.path.join(cache_folder(), "read", f"{digest}.{name}")


def open_entry(path: str) -> tuple[bytes, bytes, bytes] | None:
    """State, content and payload of an entry; None where there is none, or one that is damaged."""
    text = _content(path)
    parts = text.split(b"\n", 3) if text else []
    if len(parts) != 4 or parts[2] != b"%d" % zlib.crc32(parts[3]):
        return None
    return parts[0], parts[1], parts[3]


def write_entry(places: tuple[str, str], head: bytes, about: bytes, payload: bytes) -> None:
    """Writes an entry, whole or not at all, to the first of two places that can be written."""
    text = b"\n".join([head, about, b"%d" % zlib.crc32(payload), payload])
    for place in places:
        temporary = f"{place}.{os.getpid()}-{os.urandom(4).hex()}"
        try:
            # no run directory comes into being by being looked for
            Path(place).parent.mkdir(parents=place == places[1], exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(text)
            os.replace(temporary, place)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        else:
            return


def pack(facts: Any, **arrays: "Array | None") -> bytes:
    """Facts that JSON knows, and arrays of numbers; None stays None."""
    shapes = {name: None if one is None else [one.dtype.str, one.shape] for name, one in arrays.items()}
    parts = [one.tobytes() for one in arrays.values() if one is not None]
    return b"".join([json.dumps([facts, shapes]).encode(), b"\n", *parts])


def unpack(payload: bytes) -> tuple[Any, dict[str, Any]]:
    """What `pack` put together; the arrays are read-only."""
    import numpy as np

    # the arrays lie where the payload does, of which most of a large entry is
    start = payload.index(b"\n") + 1
    facts, shapes = json.loads(payload[:start].decode())
    arrays: dict[str, Any] = {}
    for name, form in shapes.items():
        if form is None:
            arrays[name] = None
            continue
        kind, shape = form
        found = np.frombuffer(payload, kind, math.prod(shape), start)
        arrays[name] = found if len(shape) == 1 else found.reshape(shape)
        start += found.nbytes
    return facts, arrays
