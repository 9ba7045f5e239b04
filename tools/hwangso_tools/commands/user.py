"""`hwangso user`: accounts of a server, running or not."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from hwangso_server.accounts import ListedUser
from hwangso_server.admin import Administration
from hwangso_server.limits import USERS_LISTED_MAX
from hwangso_tools.commands.operate import Where, administer, utc
from hwangso_tools.errors import CommandError
from hwangso_tools.results import Figure, results_file

app = App(name="user", help="Accounts: add, list, disable, enable.")


@app.command
def add(
    name: str,
    /,
    *,
    where: Where | None = None,
    password: str | None = None,
    password_stdin: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make an account.

    Parameters
    ----------
    name
        1 to 32 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit.
    password
        The password; other users of this machine can see it while the command runs. Without this
        and --password-stdin the command asks for it.
    password_stdin
        Read the password from the first line of standard input.
    """
    secret = _password(password, from_stdin=password_stdin)
    administer(where, lambda admin: admin.add_user(name, secret))
    print(f"user {name} added")


@app.command(name="list")
def list_users(*, where: Where | None = None, json: Path | None = None) -> None:
    """List all accounts.

    Parameters
    ----------
    json
        Also write the list to this file.
    """
    with results_file(json) as results:
        users = administer(where, _all_users)
        table = Table("user", "made", "devices", "messages", "disabled")
        for user in users:
            table.add_row(
                user.name,
                utc(user.created_at_ms),
                str(user.devices),
                str(user.head),
                utc(user.disabled_at_ms),
            )
        Console().print(table)
        results.write("user list", {"users": [_figure(user) for user in users]}, {})


@app.command
def disable(name: str, /, *, where: Where | None = None) -> None:
    """Let none of a user's devices in any more, and end their sessions."""
    administer(where, lambda admin: admin.disable_user(name))
    print(f"user {name} disabled")


@app.command
def enable(name: str, /, *, where: Where | None = None) -> None:
    """Let a disabled user in again."""
    administer(where, lambda admin: admin.enable_user(name))
    print(f"user {name} enabled")


def _password(given: str | None, *, from_stdin: bool) -> str:
    if given is not None and from_stdin:
        raise CommandError("--password and --password-stdin: give one of them")
    if given is not None:
        return given
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n")
    if not sys.stdin.isatty():
        raise CommandError("no terminal to ask for the password: use --password-stdin")
    try:
        secret = getpass.getpass("password: ")
        again = getpass.getpass("once more: ")
    except EOFError:
        raise CommandError("no password was typed") from None
    if secret != again:
        raise CommandError("the two passwords are not the same")
    return secret


async def _all_users(admin: Administration) -> list[ListedUser]:
    users: list[ListedUser] = []
    more = True
    while more:
        listing = await admin.list_users(users[-1].name if users else "", USERS_LISTED_MAX)
        users += listing.users
        more = listing.more and bool(listing.users)
    return users


def _figure(user: ListedUser) -> Figure:
    return {
        "name": user.name,
        "created_at_ms": user.created_at_ms,
        "disabled_at_ms": user.disabled_at_ms,
        "devices": user.devices,
        "head": user.head,
    }
