"""Whether a password that is chosen now would be guessed early: a common one, a pattern, or somebody's own name.

There are no rules about kinds of characters (ASVS 5.0, 6.2.5); zxcvbn (USENIX Security 2016) counts the guesses.
"""

from typing import Final

from zxcvbn import zxcvbn

LOWEST_SCORE: Final = 2
"""Of zxcvbn's 0 to 4: below, fewer than a million guesses find the password; the limits on log-ins allow far fewer."""
MOST_CHARACTERS: Final = 72
"""What is looked at; the rest can only make a password better."""
OUR_WORDS: Final = ("voltuj", "wallbox", "ocpp", "operator")


def why_weak(password: str, *about: str) -> str | None:
    """What is wrong with a password and what to do, in a sentence; None where it will do. Takes up to 30 ms.

    `about` is what others know of the person, such as name and e-mail.
    """
    known = [part for text in (*OUR_WORDS, *about) for part in (text, *text.replace("@", " ").split())]
    found = zxcvbn(password[:MOST_CHARACTERS], user_inputs=known)
    if found["score"] >= LOWEST_SCORE:
        return None
    reason = found["feedback"]["warning"].rstrip(".") or "This password is easy to guess"
    return f"{reason}. Take a few words that do not belong together, or let a password manager make one."
