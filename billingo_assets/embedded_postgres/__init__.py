"""The embedded PostgreSQL: started by the first process that needs it, stopped after the last.

    server    the public door: hold a running server, start it if there is none
    cluster   the wheel's programs, the data directory, its configuration
    account   whose rights the server has; matters only to root
    address   the socket's place and the URL of it
    keeper    the detached process that starts the server and stops it when no user is left

This room uses neither our tables nor Dagster nor a database driver. Linux and macOS; Windows is out of scope.
"""

from billingo_assets.embedded_postgres.cluster import EmbeddedServerError
from billingo_assets.embedded_postgres.server import EmbeddedServer, embedded_server

__all__ = ["EmbeddedServer", "EmbeddedServerError", "embedded_server"]
