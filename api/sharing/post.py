"""What a request needs to have mails written about sharing. What they say and who gets them is not decided here."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from api.rate_limits import CurrentLimits, RateLimits
from api.request import CurrentSettings


@dataclass(frozen=True, slots=True)
class Post:
    """How mails leave here: where their links lead, and what counts them."""

    public_url: str
    limits: RateLimits


async def _post(settings: CurrentSettings, limits: CurrentLimits) -> Post:
    return Post(settings.links_url, limits)


CurrentPost = Annotated[Post, Depends(_post)]
