"""Deterministic simulation of the pure rooms: fake clock, fake network, no I/O; hypothesis draws and shrinks."""
