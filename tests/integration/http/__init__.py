"""The HTTP service against a real PostgreSQL and Redis; a small program speaks the gateway's side of the wire."""
