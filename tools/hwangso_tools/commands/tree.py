"""The tree of commands, and one run of one of them.

A command's module is imported when it is called, so that `hwangso --version` is quick.
"""

from collections.abc import Sequence
from typing import Final

from cyclopts import App, CoercionError, CycloptsError, Parameter, Token, convert

from hwangso_tools import __version__
from hwangso_tools.errors import CommandError, ExitCode, say_error

_ABOUT: Final = (
    "A reference stack for the connection tier of a phone messenger.\n\n"
    "Start with `hwangso demo`: a server and 1,000 emulated phones on this machine, in about half "
    "a minute. By hand: `hwangso serve --registration open` in one terminal, `hwangso swarm "
    "--devices 100 --seconds 20 --server 127.0.0.1:7744` in another.\n\n"
    "Exit codes: 0 all is well, 1 the run's own verdict is bad, 2 wrong arguments or "
    "configuration, 3 the server could not be reached or trusted, 74 storage failed, 130 "
    "interrupted with Ctrl-C, 129 and 143 ended by SIGHUP and SIGTERM."
)


def make_app() -> App:
    """The tree of commands."""
    app = App(
        name="hwangso",
        version=__version__,
        help=_ABOUT,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,  # `cli.main` says what it is
        default_parameter=Parameter(converter=_converted),
    )
    here = "hwangso_tools.commands"
    app.command(f"{here}.serve:serve", name="serve", help="Run a server until it is stopped.")
    app.command(f"{here}.demo:demo", name="demo", help="Server and phones: cut them, count them.")
    app.command(f"{here}.swarm:swarm", name="swarm", help="Many emulated phones for a server.")
    app.command(f"{here}.storm:storm", name="storm", help="A scenario, control off and on.")
    app.command(f"{here}.phone:phone", name="phone", help="One emulated phone in this terminal.")
    app.command(f"{here}.bench:app", name="bench", help="How fast and how small the server is.")
    app.command(f"{here}.experiment:app", name="experiment", help="Comparisons behind choices.")
    app.command(f"{here}.user:app", name="user", help="Accounts: add, list, disable, enable.")
    app.command(f"{here}.device:app", name="device", help="Devices of a user: list, revoke.")
    app.command(f"{here}.keys:app", name="keys", help="The server's keys: show, rotate.")
    app.command(f"{here}.stage:app", name="stage", help="How far connects are put off: show, set.")
    app.command(f"{here}.explain:explain", name="explain", help="Why a device was put off.")
    app.command(f"{here}.calendar:calendar", name="calendar", help="The slots handed out.")
    app.command(f"{here}.running:stats", name="stats", help="What a running server has counted.")
    app.command(f"{here}.running:stop", name="stop", help="Stop a running server gracefully.")
    return app


def _converted(hint: object, tokens: Sequence[Token]) -> object:
    """An argument as what a command takes, as cyclopts converts it. But cyclopts rounds: the device
    1.5 that is to be revoked would be device 2."""
    if hint in (int, int | None):
        for token in tokens:
            if "." in token.value:
                raise CoercionError(token=token, target_type=int)
    return convert(hint, tokens)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command and give its exit code. Errors are one line on standard error."""
    app = make_app()
    try:
        result = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        say_error(str(error))
        return ExitCode.USAGE
    except CommandError as error:
        say_error(str(error))
        return error.code
    return result if isinstance(result, int) else ExitCode.OK
