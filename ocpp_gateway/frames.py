"""Placeholder of the scaffold, replaced by the room itself."""
