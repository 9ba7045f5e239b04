"""The hwangso server: lanes, admission, handshakes, sessions, services and the store, on Trio.

It speaks `hwangso_protocol` and knows nothing of the emulated phones or of the command that
starts it.
"""

from hwangso_protocol import __version__ as __version__
