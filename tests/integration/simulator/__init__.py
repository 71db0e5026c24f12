"""Tests of simulator (integration)."""
