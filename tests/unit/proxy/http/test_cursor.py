import base64

import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.http.cursor import Cursors
from inferq.queue.inspection.job_scan import Position
from inferq.queue.inspection.scan_cursor import ShardPositions
from inferq.settings import Settings

GUARDED = Settings(api_keys=f"ann:{'a' * 64},ben:{'b' * 64}")
POSITION = Position(True, "", 1769860800004.0, b"job-of-another-owner")
POSITIONS = [
    *(POSITION, Position(False, "iris", 7.0, b"\xff\x00"), Position(False, "m" * 64, 0.0, b"x" * 300)),
    ShardPositions((None, POSITION, None), frozenset({2})),
]


def cursors(settings=GUARDED, owner="ben", status=None, model=None):
    return Cursors(settings, owner, status, model)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("settings", [GUARDED, Settings()])
def test_cursor_opens_to_the_position_that_was_sealed(settings, position):
    assert cursors(settings).open(cursors(settings).seal(position)) == position


def test_cursor_shows_nothing_of_what_it_holds():
    sealed = base64.urlsafe_b64decode(cursors().seal(POSITION))
    for trace in (POSITION.id, POSITION.id.hex().encode(), b"1769860800004", b"true"):
        assert trace not in sealed
    other = cursors().seal(Position(True, "", 1769860800005.0, b"short"))
    assert len(other) == len(cursors().seal(POSITION))


@pytest.mark.parametrize(
    "other",
    [{"owner": "ann"}, {"owner": None}, {"status": "failed"}, {"model": "iris"}, {"settings": Settings()}],
)
def test_cursor_of_another_listing_is_refused(other):
    with pytest.raises(InvalidInputError, match="of the same listing"):
        cursors(**other).open(cursors().seal(POSITION))


def test_cursor_that_was_changed_is_refused():
    sealed = bytearray(base64.urlsafe_b64decode(cursors().seal(POSITION)))
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(InvalidInputError):
            cursors().open(base64.urlsafe_b64encode(changed).decode())


@pytest.mark.parametrize(
    "forged",
    [
        *[Position("yes", "", 1.0, b""), Position(True, None, 1.0, b""), Position(True, "", "x", b"")],
        *[Position(True, "", float("nan"), b""), Position(True, "", 10**400, b"")],
        ShardPositions((None, Position("yes", "", 1.0, b""))),
        ShardPositions((None, None), frozenset({0, 1})),
    ],
)
def test_cursor_that_a_client_has_made_without_keys_is_refused(forged):
    with pytest.raises(InvalidInputError):
        cursors(Settings()).open(cursors(Settings()).seal(forged))
