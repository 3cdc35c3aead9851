"""A quick start: libraries without what only those of their parts read that nothing here uses."""

import atexit
import functools
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any

UNREAD = ("matplotlib", "nltk", "onnxruntime", "PIL", "scipy", "torchvision", "transformers")
"""Packages that torchmetrics imports on sight; of half of its time to import they are the cause."""


def import_torchmetrics() -> None:
    """Imports torchmetrics, which Lightning would import, as if the packages of `UNREAD` were not installed.

    They are there for everyone else, and come when they are used. What torchmetrics itself would do with them, plots
    and metrics such as BERTScore, then says that they are missing, so only commands call this, not a script's import.
    Tried with torchmetrics 1.9 and lightning-utilities 0.15; where a release asks in another way, nothing is left out.
    """
    with suppress(ImportError, AttributeError):
        from lightning_utilities.core import imports

        asked: Any = imports
        cache, find = asked.RequirementCache, asked.package_available
        check = cache._check_available

        def check_others(self: Any) -> None:
            name = self.requirement or self.module or ""
            if name.startswith(UNREAD):
                self.available, self.message = False, f"{name} is left out within commands of transferlab"
            else:
                check(self)

        cache._check_available = check_others
        asked.package_available = lambda name: name not in UNREAD and find(name)
        try:
            import torchmetrics  # noqa: F401
        finally:
            cache._check_available, asked.package_available = check, find


def import_losses() -> None:
    """Imports transformers, and its losses, which every model of it imports, as if scipy were not installed.

    Only the losses of object detection read it, a fifth of the time to import a model. And transformers looks for
    names in the 1,600 files of its models when it is imported, and again when a model is first asked for, since it
    remembers 128 of their 549 folders: here it remembers all. Only commands call this. Tried with transformers 5.23;
    where a release asks in another way, nothing is left out.
    """
    with suppress(ImportError, AttributeError):
        with _roomy():
            from transformers import utils

        asked: Any = utils
        known = asked.is_scipy_available
        asked.is_scipy_available = lambda: False
        try:
            import transformers.loss.loss_utils  # noqa: F401
        finally:
            asked.is_scipy_available = known


@contextmanager
def _roomy() -> Iterator[None]:
    """Lets modules that are imported meanwhile remember without a limit where they name none."""
    limited: Any = functools.lru_cache

    def unlimited(maxsize: Any = 128, typed: bool = False) -> Any:
        return limited(None)(maxsize) if callable(maxsize) else limited(maxsize, typed)

    swapped: Any = functools
    swapped.lru_cache = unlimited
    try:
        yield
    finally:
        swapped.lru_cache = limited


@functools.cache
def import_numpy() -> None:
    """Imports numpy without the types of its arrays, a sixth of the time to import it.

    Its linear algebra names one of them in annotations; the module is there for everyone else. Tried with numpy 2.4;
    where a release asks in another way, nothing is left out.
    """
    types = ModuleType("numpy._typing")
    types.NDArray = list  # type: ignore[attr-defined]
    with suppress(ImportError), _stood_in(types.__name__, types):
        import numpy.linalg  # noqa: F401


@functools.cache
def import_scipy() -> None:
    """Lets scipy be imported without rewriting its documentation.

    On import it parses the texts of some hundred functions, to add a note on other array libraries to each: a third
    of the time to import ``scipy.stats``. The functions stay as they are. Tried with scipy 1.17; where a release asks
    in another way, nothing is left out.
    """
    with suppress(ImportError, AttributeError):
        from scipy._lib import _array_api

        asked: Any = _array_api
        asked.FunctionDoc = _Unchanged


class _Unchanged:
    """The documentation of a function, in the form in which scipy puts it back."""

    def __init__(self, function: Any) -> None:
        self._text = function.__doc__ or ""

    def __getitem__(self, section: str) -> list[str]:
        return []

    def __str__(self) -> str:
        # the first line would be the signature
        return f"\n{self._text}"


@functools.cache
def import_sklearn() -> None:
    """Imports the base of scikit-learn without pandas, and without ``scipy.stats`` until that is called.

    They are half of the time to import it. It asks for pandas to know one of its versions, and reads functions
    of ``scipy.stats`` in single metrics; both are there for everyone else. Tried with scikit-learn 1.9.
    """
    import_scipy()
    with _stood_in("pandas", None), _stood_in("scipy.stats", _Later("scipy.stats")), suppress(ImportError):
        # what is imported from `scipy.stats` by name is read here, by all parts that are used
        for name in ("feature_extraction.text", "linear_model", "model_selection", "multiclass", "svm"):
            importlib.import_module(f"sklearn.{name}")


class _Later(ModuleType):
    """A module of functions; each imports the real one when it is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **named: getattr(importlib.import_module(self.__name__), name)(*given, **named)


@contextmanager
def _stood_in(name: str, other: ModuleType | None) -> Iterator[None]:
    """Puts another module, or none, in the place of one that is not imported yet."""
    if name in sys.modules:
        yield
        return
    known: dict[str, Any] = sys.modules  # None says that there is no such module
    known[name] = other
    try:
        yield
    finally:
        if known.get(name) is other:
            del known[name]


@functools.cache
def name_callers() -> None:
    """Lets jsonargparse know who calls it without a look at the files of all modules that are loaded.

    It asks before it parses, and thousands of modules have a file. Tried with jsonargparse 4.47; where a release asks
    in another way, nothing changes.
    """
    with suppress(ImportError, AttributeError):
        import inspect

        from jsonargparse import _core

        asked: Any = _core
        if asked.inspect is inspect:
            asked.inspect = _Callers(inspect.__name__)


class _Callers(ModuleType):
    """`inspect`, but for the two functions that tell the module of a caller."""

    def __getattr__(self, name: str) -> Any:
        import inspect

        return getattr(inspect, name)

    def stack(self) -> list[tuple[FrameType]]:
        """The frame that asks, and the ones that called it."""
        frame: FrameType | None = sys._getframe(1)
        found = []
        while frame is not None:
            found.append((frame,))
            frame = frame.f_back
        return found

    def getmodule(self, frame: FrameType) -> ModuleType | None:
        """The module whose code runs in a frame."""
        return sys.modules.get(str(frame.f_globals.get("__name__")))


@functools.cache
def keep_parsers() -> None:
    """Lets jsonargparse keep the parser of a class that it has made, instead of making it for each look at a value.

    One command asks for those of twenty classes some eighty times: half of the time that it parses. A parser depends
    on its class, on how it is asked for and on the links around it, and a second look finds it as the first one.
    Tried with jsonargparse 4.47; where a release asks in another way, nothing is kept.
    """
    with suppress(ImportError, AttributeError):
        from jsonargparse import _common, _typehints

        action: Any = _typehints.ActionTypeHint
        make, around, links = action.get_class_parser, _common.parent_parser, _common.nested_links
        kept: dict[Any, Any] = {}

        @functools.wraps(make)
        def get_class_parser(val_class: Any, sub_add_kwargs: Any = None, skip_args: Any = None) -> Any:
            parent: Any = around.get()
            asked = (val_class, sub_add_kwargs, skip_args, links.get())
            key = (type(parent), parent.parser_mode, parent.logger, _frozen(asked))
            if key not in kept:
                kept[key] = make(val_class, sub_add_kwargs, skip_args)
            return kept[key]

        action.get_class_parser = staticmethod(get_class_parser)


def _frozen(value: Any) -> Any:
    """What can be looked up and is equal where a value of mappings, lists and sets is."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(one)) for name, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return frozenset(value) if isinstance(value, set) else value


@contextmanager
def uncollected() -> Iterator[None]:
    """Leaves Python's search for cycles of garbage out.

    It goes through all objects again and again while their number grows: a fifth of the time of imports and of
    parsing, where nothing is thrown away. Work that goes on for long switches it on again (`collect_again`).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            collect_again()


def collect_again() -> None:
    """Searches for garbage again, among what is made from now on.

    Modules and parsed settings stay to the end: going through them finds nothing. That is so once in a process; a
    second training in it leaves a model behind, which goes.
    """
    _set_apart()
    gc.enable()


@functools.cache
def _set_apart() -> None:
    gc.freeze()


def end_quickly() -> None:
    """At the end of the process no search for garbage goes through all objects, which takes up to half a second.

    The memory goes back to the system all the same. What is called at exit is called before: the first that is
    registered comes last.
    """
    atexit.register(gc.freeze)
