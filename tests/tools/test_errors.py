import pytest

from hwangso_tools.errors import CommandError, ExitCode, first_of, one_line


def test_exit_codes_are_those_of_the_readme() -> None:
    assert [(code.name, code.value) for code in ExitCode] == [
        ("OK", 0),
        ("VERDICT", 1),
        ("USAGE", 2),
        ("UNREACHABLE", 3),
        ("STORAGE", 74),
        ("HUNG_UP", 129),
        ("INTERRUPTED", 130),
        ("TERMINATED", 143),
    ]


def test_one_line() -> None:
    assert one_line(" a\n  b\tc \n") == "a b c"


def test_command_error_is_one_line_with_a_code() -> None:
    error = CommandError("a\nb", ExitCode.STORAGE)
    assert str(error) == "a b"
    assert error.code is ExitCode.STORAGE
    assert CommandError("x").code is ExitCode.USAGE


def test_first_of_a_nested_group() -> None:
    first = ValueError("first")
    group = ExceptionGroup("", [ExceptionGroup("", [first, KeyError()]), OSError()])
    assert first_of(group) is first


def test_first_of_does_not_swallow_an_interrupt() -> None:
    group = BaseExceptionGroup("", [KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        first_of(group)
