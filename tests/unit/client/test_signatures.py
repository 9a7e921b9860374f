"""The two clients are the same, but for `await`."""

import inspect
import re

import pytest

import inferq

PAIRS = [(inferq.Client, inferq.AsyncClient), (inferq.Job, inferq.AsyncJob)]
EITHER = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def list_methods(kind):
    """The methods that a user calls, also those that only one of the two defines."""
    names = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return names | {"__init__"} | (EITHER.keys() | set(EITHER.values())) & vars(kind).keys()


def describe_arguments(method):
    return [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize(("kind", "async_kind"), PAIRS)
def test_both_have_the_same_methods(kind, async_kind):
    assert {EITHER.get(name, name) for name in list_methods(kind)} == list_methods(async_kind)


@pytest.mark.parametrize(("kind", "async_kind"), PAIRS)
def test_both_take_the_same_arguments_with_the_same_defaults(kind, async_kind):
    for name in list_methods(kind):
        ours, theirs = getattr(kind, name), getattr(async_kind, EITHER.get(name, name))
        assert describe_arguments(ours) == describe_arguments(theirs), name


@pytest.mark.parametrize(("kind", "async_kind"), PAIRS)
def test_both_say_the_same(kind, async_kind):
    def read_sections(object_):
        return re.split(r"\n\s*\n", inspect.getdoc(object_) or "")

    assert read_sections(kind)[1:] == read_sections(async_kind)[1:]  # the first sentence says how they differ
    for name in list_methods(kind) - {"__init__", *EITHER}:
        assert read_sections(getattr(kind, name)) == read_sections(getattr(async_kind, name)), name


@pytest.mark.parametrize(("kind", "async_kind"), PAIRS)
def test_every_method_of_the_asynchronous_one_is_awaited_or_iterated(kind, async_kind):
    for name in list_methods(async_kind) - {"__init__"}:
        method = getattr(async_kind, name)
        assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method), name
        ours = getattr(kind, next((one for one, other in EITHER.items() if other == name), name))
        assert inspect.isasyncgenfunction(method) == inspect.isgeneratorfunction(ours), name
