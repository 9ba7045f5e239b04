"""The hwangso client: an emulated phone with its app states, radio, link and inbox, on Trio.

It speaks `hwangso_protocol` and knows nothing of the server's code, so that it tests the server
from the outside.
"""

from hwangso_protocol import __version__ as __version__
