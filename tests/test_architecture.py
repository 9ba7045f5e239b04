"""The parts stay apart at run time too: what a fresh interpreter loads, and what it can do without.

The import contracts in pyproject.toml read the source; these tests see what really happens,
dependencies included. Each probe is also pointed at a package that breaks the rule.
"""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

# Imports every module of the package named first, with the packages named after it unimportable,
# and prints the names of all modules that this has loaded.
PROBE = """
import importlib, pkgutil, sys

name, *missing = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing))
before = set(sys.modules)
package = importlib.import_module(name)
for module in pkgutil.walk_packages(package.__path__, name + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
print(*(set(sys.modules) - before), sep="\\n")
"""

IO_MODULES = {"asyncio", "select", "selectors", "socket", "ssl", "subprocess", "trio"}


def load_all(
    package: str, *, missing: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the probe in an interpreter of its own, which can also import what lies in `cwd`."""
    return subprocess.run(
        [sys.executable, "-c", PROBE, package, *missing.split()],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write_package(folder: Path, statement: str) -> None:
    package = folder / "rule_breaker"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(statement)


def test_protocol_loads_no_io() -> None:
    probe = load_all("hwangso_protocol")
    assert probe.returncode == 0, probe.stderr
    loaded = set(probe.stdout.split())
    assert "hwangso_protocol._version" in loaded
    assert loaded & IO_MODULES == set()


def test_the_probe_sees_io_in_a_submodule(tmp_path: Path) -> None:
    write_package(tmp_path, "import socket")
    probe = load_all("rule_breaker", cwd=tmp_path)
    assert "socket" in probe.stdout.split()


@pytest.mark.parametrize("package", ["hwangso_server", "hwangso_client"])
def test_server_and_client_run_without_textual_and_each_other(package: str) -> None:
    others = {"hwangso_server", "hwangso_client", "hwangso_tools", "textual"} - {package}
    probe = load_all(package, missing=" ".join(sorted(others)))
    assert probe.returncode == 0, probe.stderr
    assert package in probe.stdout.split()


def test_the_probe_fails_without_a_module_that_is_needed(tmp_path: Path) -> None:
    write_package(tmp_path, "import textual")
    probe = load_all("rule_breaker", missing="textual", cwd=tmp_path)
    assert probe.returncode != 0
    assert "import of textual halted" in probe.stderr


@pytest.mark.parametrize(
    "package", ["hwangso_protocol", "hwangso_server", "hwangso_client", "hwangso_tools"]
)
def test_every_package_has_the_version_of_the_wheel(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__version__ == importlib.metadata.version("hwangso")
    assert (Path(str(module.__file__)).parent / "py.typed").exists()
