"""From the asynchronous face to the one that waits: the same methods with the same types, without doubling them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


class Synchronous(Protocol[A_co]):
    """A face over an asynchronous one."""

    @property
    def asynchronous(self) -> A_co: ...


def waiting(method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Synchronous[A], P], T]:
    """A method that waits for the end of ``method``.

    Raises RuntimeError where an event loop runs: waiting there would keep the loop from ever coming to that end.
    """

    @functools.wraps(method)
    def wait(face: Synchronous[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
        _refuse_in_loop(wait.__qualname__)
        return asyncio.run(method(face.asynchronous, *args, **kwargs))

    wait.__qualname__ = method.__qualname__.removeprefix("Async")
    return wait


def iterating(
    method: Callable[Concatenate[A, P], AsyncIterator[T]],
) -> Callable[Concatenate[Synchronous[A], P], Iterator[T]]:
    """A method that waits for each item of ``method``. Raises RuntimeError likewise, when the first is asked for."""

    @functools.wraps(method)
    def iterate(face: Synchronous[A], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        _refuse_in_loop(iterate.__qualname__)
        with asyncio.Runner() as runner:
            items = method(face.asynchronous, *args, **kwargs)
            while (item := runner.run(_next(items))) is not None:
                yield item[0]

    iterate.__qualname__ = method.__qualname__.removeprefix("Async")
    return iterate


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None


def _refuse_in_loop(name: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    method = name.rpartition(".")[2]
    raise RuntimeError(
        f"{name} waits for its end, and an event loop runs here that would stand still meanwhile. "
        f"Await the same method of the asynchronous face: it is the attribute «asynchronous» "
        f"(await project.asynchronous.{method}(…)), and nexus.AsyncProject.load gives it at once."
    )
