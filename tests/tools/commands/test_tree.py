"""What holds for the arguments of all commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError

from hwangso_tools.commands.tree import make_app, run
from hwangso_tools.errors import ExitCode

WHOLE_NUMBERS = (int, int | None)


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command, by the words that call it."""
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*path, name))
    if app.default_command is not None:
        yield path, app


def whole_numbers() -> Iterator[tuple[list[str], str]]:
    """A call of a command with 1.5 in place of a whole number, and that argument's name."""
    for path, app in commands(make_app()):
        arguments = list(app.assemble_argument_collection())
        for number, argument in enumerate(arguments, start=1):
            if argument.hint not in WHOLE_NUMBERS:
                continue
            if not argument.name.startswith("--"):
                yield [*path, *["1.5"] * number], argument.name
                continue
            call = [*path, argument.name, "1.5"]
            for other in arguments:
                if other is not argument and other.required and other.name.startswith("--"):
                    call += [other.name, "2"]
            yield call, argument.name


def test_these_take_whole_numbers() -> None:
    """Some of them; the walk must have found them."""
    found = [(" ".join(call), name) for call, name in whole_numbers()]
    assert ("device revoke 1.5 1.5", "DEVICE") in found
    assert ("explain 1.5", "DEVICE") in found
    assert ("serve --port 1.5", "--port") in found
    assert ("storm --devices 1.5", "--devices") in found
    assert ("bench login --runs 1.5", "--runs") in found


@pytest.mark.parametrize(
    ("call", "name"), [pytest.param(*one, id=" ".join(one[0])) for one in whole_numbers()]
)
def test_a_whole_number_is_not_rounded(call: list[str], name: str) -> None:
    """Nothing is run here: what if it were taken."""
    with pytest.raises(CycloptsError) as refused:
        make_app().parse_args(call, exit_on_error=False, print_error=False)
    assert str(refused.value) == f'Invalid value for {name}: unable to convert "1.5" into int.'


@pytest.mark.parametrize("text", ["1.5", "2.0", "2.", ".5", "-1.5"])
def test_nor_is_it_written_with_a_point(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["device", "revoke", "bob", text, "--data", str(tmp_path)]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f'hwangso: Invalid value for DEVICE: unable to convert "{text}" into int.\n'


def test_a_number_that_may_have_a_fraction(capsys: pytest.CaptureFixture[str]) -> None:
    """Is none of these."""
    assert run(["demo", "--chat-seconds", "-1.5"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "hwangso: --chat-seconds: above 0, at most 600\n"
