"""In which language a caller reads: the query's, or that of Accept-Language, or that of the account."""

from typing import Annotated

from fastapi import Depends, Header, Query

from api.documents.languages import Language, choose_language
from api.identity import operations
from api.identity.caller import CurrentCaller
from api.request import CurrentDatabase


async def _reader_language(
    caller: CurrentCaller,
    database: CurrentDatabase,
    lang: Annotated[Language | None, Query(description="without it Accept-Language, or else the account's")] = None,
    accept_language: Annotated[str, Header(description="`cs` and `en` are known")] = "",
) -> Language:
    async with database.reading() as connection:
        own = await operations.find_language(connection, caller.user_id)
    return choose_language(lang, accept_language, own)


ReaderLanguage = Annotated[Language, Depends(_reader_language)]
