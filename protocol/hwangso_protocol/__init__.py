"""The wire protocol of hwangso, sans-I/O: bytes in, events out.

Nothing in this package opens a socket, reads a clock or draws random numbers on its own; what it
needs of these is passed in. Server and client both build on it, and it imports neither.
"""

from hwangso_protocol._version import __version__ as __version__
