"""The one file inside a multipart/form-data body, as a stream: some charge points upload as a browser would."""

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.errors import BadRequest


async def file_content(content_type: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content that was sent: the body itself, or its first part where it is a form.

    Raises:
        BadRequest: a form that cannot be read.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        async for chunk in chunks:
            yield chunk
        return
    found: list[bytes] = []
    parts = 0

    def begin() -> None:
        nonlocal parts
        parts += 1

    def data(chunk: bytes, start: int, end: int) -> None:
        if parts == 1:
            found.append(chunk[start:end])

    try:
        parser = MultipartParser(options[b"boundary"], {"on_part_begin": begin, "on_part_data": data})
        async for chunk in chunks:
            parser.write(chunk)
            yield b"".join(found)
            found.clear()
        parser.finalize()
    except (FormParserError, KeyError) as error:
        raise BadRequest("The form could not be read.") from error
