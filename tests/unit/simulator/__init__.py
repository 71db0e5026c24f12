"""Tests of simulator (unit)."""
