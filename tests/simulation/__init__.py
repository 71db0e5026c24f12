"""Deterministic simulation of the pure rooms: fake clock, fake network, no I/O; the schedule is drawn and shrunk by hypothesis."""
