"""The FastAPI service of Voltuj: accounts, sharing, accounting. Here stands its version, and nothing else."""

from typing import Final

VERSION: Final = "0.1.0"
"""Of the package, as `pyproject.toml` has it."""
