"""E-mail addresses as accounts know them. No mail is sent from here."""

from typing import Annotated, Final

import email_validator
from pydantic import AfterValidator, StringConstraints, WithJsonSchema


def normalise_email(value: str) -> str:
    """An e-mail address in lower case, its domain in ASCII; whether mail arrives there is not asked.

    Raises:
        ValueError: not an e-mail address.
    """
    try:
        # test_environment: an installation in a home network may use names such as owner@voltuj.test
        found = email_validator.validate_email(
            value.strip(), check_deliverability=False, test_environment=True, allow_smtputf8=False
        )
    except email_validator.EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return (found.ascii_email or found.normalized).lower()


SCHEMA: Final = {"type": "string", "format": "email", "maxLength": 254}
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(normalise_email), WithJsonSchema(SCHEMA)]
