"""Which of several media types an answer may have, by the request's `Accept` (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_LONGEST_HEADER = 1000
_RANGE = re.compile(r"\s*([\w!#$&^.+*-]+/[\w!#$&^.+*-]+)\s*((?:;[^;]*)*)", re.ASCII)
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE | re.ASCII)


class _Range(NamedTuple):
    media_type: str
    quality: float


def rank_media_types(accept: str, offers: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """Returns the media types that a client takes, the one that it prefers first.

    Behind that come those that it names, and the server's favourite, for an answer that cannot be had as the
    first: who takes anything is better told why than sent bytes.

    Args:
        accept: The header, all of them joined by commas; empty if there is none. One that cannot be read
            counts as none.
        offers: The media types that there are, the server's favourite first. It decides where a client likes
            several equally.
        aliases: Other names of media types, to the name in `offers`.
    """
    ranges = _parse(accept, aliases)
    if not ranges:
        return [offers[0]]
    qualities = {offer: _rate(offer, ranges) for offer in offers}
    ranked = [offer for offer in sorted(offers, key=lambda offer: -qualities[offer]) if qualities[offer] > 0]
    named = {offers[0], *(one.media_type for one in ranges)}
    return [*ranked[:1], *(offer for offer in ranked[1:] if offer in named)]


def _parse(accept: str, aliases: Mapping[str, str]) -> list[_Range]:
    ranges = []
    for part in accept.split(",") if len(accept) <= _LONGEST_HEADER else ():
        found = _RANGE.fullmatch(part.rstrip())
        if found is not None:
            media_type, quality = found[1].lower(), _QUALITY.search(found[2])
            ranges.append(
                _Range(aliases.get(media_type, media_type), 1.0 if quality is None else float(quality[1]))
            )
    return ranges


def _rate(offer: str, ranges: list[_Range]) -> float:
    """Returns how much a client likes a media type: what the most specific range says that fits it."""
    for fitting in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        found = [one.quality for one in ranges if one.media_type == fitting]
        if found:
            return max(found)
    return 0.0
