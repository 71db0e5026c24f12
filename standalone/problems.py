"""Why Voltuj cannot start or go on, in one sentence for the person who typed the command. Nothing else lives here.

Problem
`-- ChildEndedError
"""


class Problem(Exception):  # noqa: N818 - it is shown to people, not caught by name elsewhere
    """The message is one sentence that says what is wrong and what to do."""


class ChildEndedError(Problem):
    """A program ended while it was being started."""
