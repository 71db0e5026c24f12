"""Tests of standalone (integration)."""
