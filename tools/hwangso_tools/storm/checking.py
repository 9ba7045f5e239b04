"""A table of TOML checked against a Struct: the first thing that is wrong, in one line.

    my.toml: event 2 (outage): share: 1.7 is not allowed, expected a number from 0 to 1

Understands Structs of numbers, texts, enums and other Structs, and arrays of Structs; those of a
union are told apart by their tag.
"""

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from types import UnionType
from typing import Final, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

SHOWN_MAX_CHARS: Final = 60
"""How much of a wrong value an error repeats."""

S = TypeVar("S", bound=msgspec.Struct)


class Mistake(Exception):
    """What is wrong with a table: one line."""


def checked(table: Mapping[str, object], kind: type[S], where: str) -> S:
    """The table as that Struct. `where` names the table for people. Raises Mistake."""
    _check_table(table, kind, where)
    return msgspec.convert(table, kind)


def refuse_unknown(where: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise Mistake for a name that is none of those that are known."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(names)}"
    raise Mistake(f"{where}: {name!r:.{SHOWN_MAX_CHARS}} is unknown; {hint}")


def _check_table(table: object, kind: type[msgspec.Struct], where: str) -> None:
    if not isinstance(table, Mapping):
        _refuse(where, table, "a table")
    hints = get_type_hints(kind, include_extras=True)
    tag = kind.__struct_config__.tag_field
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in table:
        if name not in fields and name != tag:
            refuse_unknown(where, name, fields)
    for name, field in fields.items():
        place = f"{where}: {name}"
        if name in table:
            _check_value(table[name], hints[name], place)
        elif field.required:
            raise Mistake(f"{place}: is missing, expected {_in_words(hints[name])}")


def _check_value(value: object, hint: object, where: str) -> None:
    nested, element = _struct_of(hint), _element_of(hint)
    if nested is not None:
        _check_table(value, nested, where)
    elif element is not None:
        _check_array(value, element, where)
    elif isinstance(hint, type) and issubclass(hint, Enum) and isinstance(value, str):
        names = {str(member.value) for member in hint}
        if value not in names:
            refuse_unknown(where, value, names)
    else:
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            _refuse(where, value, _in_words(hint))


def _check_array(value: object, kinds: tuple[type[msgspec.Struct], ...], where: str) -> None:
    name = where.rpartition(" ")[2]
    if not isinstance(value, list):
        _refuse(where, value, f"tables, each under [[{name}]]")
    for number, table in enumerate(value, start=1):
        place = f"{where} {number}"
        if len(kinds) == 1:
            _check_table(table, kinds[0], place)
        else:
            kind = _tagged(table, kinds, place)
            _check_table(table, kind, f"{place} ({kind.__struct_config__.tag})")


def _tagged(
    table: object, kinds: tuple[type[msgspec.Struct], ...], where: str
) -> type[msgspec.Struct]:
    """The Struct that the table's tag names."""
    field = kinds[0].__struct_config__.tag_field
    by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
    if not isinstance(table, Mapping) or field is None:
        _refuse(where, table, "a table")
    tag = table.get(field)
    if tag is None:
        raise Mistake(f"{where}: {field}: is missing, expected {_one_of(by_tag)}")
    if not isinstance(tag, str):
        _refuse(f"{where}: {field}", tag, _one_of(by_tag))
    if tag not in by_tag:
        refuse_unknown(f"{where}: {field}", tag, by_tag)
    return by_tag[tag]


def _refuse(where: str, value: object, expected: str) -> NoReturn:
    raise Mistake(f"{where}: {value!r:.{SHOWN_MAX_CHARS}} is not allowed, expected {expected}")


def _struct_of(hint: object) -> type[msgspec.Struct] | None:
    return hint if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else None


def _element_of(hint: object) -> tuple[type[msgspec.Struct], ...] | None:
    """The Structs that `tuple[Struct | Struct, ...]` holds; None for any other type."""
    arguments = get_args(hint)
    if get_origin(hint) is not tuple or len(arguments) != 2 or arguments[1] is not Ellipsis:
        return None
    element = arguments[0]
    members = get_args(element) if get_origin(element) in (Union, UnionType) else (element,)
    structs = tuple(kind for kind in map(_struct_of, members) if kind is not None)
    return structs if len(structs) == len(members) else None


def _in_words(hint: object) -> str:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of(str(member.value) for member in hint)
    return _type_in_words(msgspec.inspect.type_info(hint))


def _type_in_words(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            # TOML has no null: a key that may be None is simply left out.
            named = (one for one in types if not isinstance(one, msgspec.inspect.NoneType))
            return " or ".join(map(_type_in_words, named))
        case msgspec.inspect.EnumType(cls=cls):
            return _one_of(str(member.value) for member in cls)
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return f"a whole number from {low:,} to {high:,}"
        case msgspec.inspect.FloatType(ge=low, le=high) if low is not None and high is not None:
            return f"a number from {low:,g} to {high:,g}"
        case msgspec.inspect.FloatType():
            return "a number"
        case msgspec.inspect.StrType(min_length=low, max_length=high, pattern=None):
            return f"a text of {low:,} to {high:,} characters"
        case msgspec.inspect.StrType(min_length=low, max_length=high):
            return f"a line of {low:,} to {high:,} characters that can be printed"
        case msgspec.inspect.TupleType(item_types=items):
            return f"[{', '.join(map(_type_in_words, items))}]"
        case msgspec.inspect.StructType():
            return "a table"
        case msgspec.inspect.VarTupleType():
            return "tables"
        case _:
            raise TypeError(f"no words yet for {kind}")


def _one_of(names: Iterable[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)
