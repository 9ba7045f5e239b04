"""The example in tests/README.md is a test, and passes."""

import re
from collections.abc import Callable
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example() -> None:
    found = re.search(
        r"test_readme\.py runs this -->\n```python\n(.*?)```", README.read_text(), re.S
    )
    assert found is not None
    names: dict[str, Callable[[], None]] = {}
    exec(compile(found[1], str(README), "exec"), names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        names[name]()
