"""What other programs' messages may quote, and no log may show."""

import re

_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_QUERY = re.compile(r"(?<=\S)\?[^\s\"')]+")


def hide_secrets(text: str) -> str:
    """Returns a text without the passwords and queries of the URLs in it."""
    return _QUERY.sub("?***", _CREDENTIALS.sub("//***@", text))
