"""What only the epoll reader does. What every reader does is in test_transport."""

import select
import socket

import pytest
import trio
from tests.server.test_transport import WITHIN_S, Peer, bench, receive_all, tcp_pair

from hwangso_server.limits import READ_BATCH
from hwangso_server.parking import ParkedTransport, Parking

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")
