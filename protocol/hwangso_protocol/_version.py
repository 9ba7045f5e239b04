"""The version of hwangso, written here once: wheel, packages and `hwangso --version` read it."""

__version__ = "0.1.0"
