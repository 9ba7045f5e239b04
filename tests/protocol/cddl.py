"""`messages.cddl` in a form that pycddl 0.6 (the cddl crate 0.9) judges as RFC 8610 says.

What is written differently for it, and why:

- one message type at a time, for it panics on a choice of maps;
- rules are written out where they are used, for behind a rule's name it forgets that a named field
  does not also match `* tstr => any` (section 3.5.4: the colon cuts), and mixes up field and rule;
- regular expressions are anchored, for it searches where the whole text must match (section 3.8.3);
- `.size` and ranges say of what, for they take text for bytes and the reverse, bytes for numbers;
  any text is a regular expression, for plain `tstr` takes maps.
"""

import re
from functools import cache
from importlib.resources import files

import pycddl

SCHEMA = files("hwangso_protocol").joinpath("messages.cddl").read_text(encoding="utf-8")
_RULE = re.compile(r"^([a-z-]+) = (.*?)(?=^[a-z-]+ = |\Z)", re.MULTILINE | re.DOTALL)
RULES = {rule[1]: " ".join(rule[2].split()) for rule in _RULE.finditer(re.sub(r";.*", "", SCHEMA))}
_TEXT = re.compile(r'("[^"]*")')
_NAME = re.compile(r"(?<![\w-])[a-z][a-z-]*(?![\w:-])")


def rule_of(tag: str) -> str:
    return tag.replace("_", "-")


@cache
def schema_of(tag: str) -> pycddl.Schema:
    """The schema of the messages with this type tag."""
    rule = _written_out(rule_of(tag))
    rule = re.sub(r'\.regexp "([^"]*)"', r'.regexp "^(\1)$"', rule)
    rule = re.sub(r"\b([bt]str) \.size (\d+|\(.*?\))", r"\1 .and (\1 .size \2)", rule)
    rule = re.sub(r": tstr(?= ?[,}])", r': tstr .regexp "(.|\\n|\\r)*"', rule)
    rule = re.sub(r": (\d+\.\.\d+)", r": uint .and (\1)", rule)
    return pycddl.Schema(f"start = {rule}\n")


def fits_schema(tag: str, data: bytes) -> bool:
    try:
        schema_of(tag).validate_cbor(data)
    except pycddl.ValidationError:
        return False
    return True


def _written_out(name: str) -> str:
    if name not in RULES:
        return name  # a type of CDDL itself
    pieces = _TEXT.split(RULES[name])
    return "".join(
        piece if piece.startswith('"') else _NAME.sub(lambda match: _written_out(match[0]), piece)
        for piece in pieces
    )
