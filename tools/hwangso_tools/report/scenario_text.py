"""A scenario as the text of a file that `hwangso storm` reads. Pure."""

from collections.abc import Iterator, Mapping

import msgspec

from hwangso_tools.storm.scenario import Scenario


def scenario_text(scenario: Scenario) -> str:
    """TOML, with every key spelt out; what is None is left out, as in any file."""
    tables = msgspec.to_builtins(scenario)
    lines: list[str] = []
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *_rows(table)]
        else:
            for one in table:
                lines += ["", f"[[{name}]]", *_rows(one)]
    return "\n".join(lines[1:]) + "\n"


def _rows(table: Mapping[str, object], within: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{within}{key}.")
        elif value is not None:
            yield f"{within}{key} = {_value(value)}"


def _value(value: object) -> str:
    """JSON's strings, numbers, booleans and arrays are TOML's, too, but for DEL in a string."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
