"""Tests of standalone (unit)."""
