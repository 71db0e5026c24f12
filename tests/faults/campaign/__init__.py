"""The fault campaign: a fleet charges while the stack is killed, cut off and frozen; then journals meet database."""
