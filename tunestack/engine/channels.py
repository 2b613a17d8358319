"""Limits of the gRPC channels and servers between engine, program and plugins."""

from __future__ import annotations

from typing import Final

# The CLI's limit; states with embedded files exceed gRPC's default of 4 MiB.
CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
]
_MOST: Final = 2**31 - 1
# By default gRPC ends a request CANCELLED that its server did not take up within 30 s, and refuses some once 1,000
# of them wait. A program registers hundreds of resources at once and takes neither for a reason to try again; on a
# busy machine, or one that sleeps, a process may well get no processor for as long.
SERVER_OPTIONS: Final = [
    *CHANNEL_OPTIONS,
    ("grpc.server_max_unrequested_time_in_server", _MOST),
    ("grpc.server.max_pending_requests", _MOST),
    ("grpc.server.max_pending_requests_hard_limit", _MOST),
]
