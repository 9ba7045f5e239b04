"""The `hwangso` command and what stands behind it: serve, user, swarm, demo, bench.

The only part that imports server and client both.
"""

from hwangso_protocol import __version__ as __version__
