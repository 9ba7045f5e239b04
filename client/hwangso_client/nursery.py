"""A nursery whose errors read as if there were no nursery."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """As `trio.open_nursery`, but a single error comes out as it is, not in an exception group.

    That there are tasks inside a device is its own affair: a test's `assert` inside the device's
    `async with` should fail as an AssertionError.
    """
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        error = group.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            # Raising here has made the group the context of its own member.
            error.__context__ = context
            del error, context
