"""What is not known of the latest claim behind a BRPOP."""

from collections.abc import Sequence

from inferq.jobs import ClaimedJob
from inferq.queue.consumer.claims.claim import Popped


class InDoubtClaim:
    """Keeps what has to be repeated or requeued, should an answer be lost.

    A BRPOP and a claim are sent as one: the BRPOP pops an id, and the claim leases jobs under a token. Each
    of the two answers can be lost by itself, so there are two facts to keep:

    - `token` is set while jobs may be leased under it that this worker does not know: from the moment before
      the commands are sent until the claim, or a repetition of it, is answered.
    - `popped` is set while an id that BRPOP has handed over is not known to be leased: it is in no list, and
      only this worker knows of it.

    Invariant: a new claim begins only while neither is set. So at most one token and one id are in doubt, and
    each that ever was has been answered, requeued, or handed to the caller.

    | `token` | `popped` | state | way out |
    | --- | --- | --- | --- |
    | no | no | settled | `begin` |
    | yes | no | nothing is answered | claim again with the token, then `note_claimed` |
    | yes | yes | BRPOP is answered, the claim is not | the same |
    | no | yes | others were claimed in place of the id, or none | `note_requeued` or `hand_over` |

    Attributes:
        token: Fencing token of the unanswered claim; empty if there is none.
        popped: The id; None if there is none.
    """

    def __init__(self) -> None:
        self.token = ""
        self.popped: Popped | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is in doubt, so that a claim may begin."""
        return not self.token and self.popped is None

    def begin(self, token: str) -> None:
        """Notes that a BRPOP and a claim with this token are about to be sent.

        Raises:
            RuntimeError: The last one is still in doubt.
        """
        if not self.is_settled:
            raise RuntimeError("A claim is in doubt. Settle it before the next one begins.")
        self.token = token

    def note_popped(self, popped: Popped | None) -> None:
        """Notes what BRPOP has answered."""
        self.popped = popped

    def note_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Notes that the claim is answered with these jobs."""
        self.token = ""
        if self.popped is not None and self.popped.id in [job.id for job in jobs]:
            self.popped = None

    def note_requeued(self) -> None:
        """Notes that the popped id is in its list again, or has ended."""
        self.popped = None

    def hand_over(self) -> Popped | None:
        """Leaves the popped id to the caller, who has to claim it at once."""
        popped, self.popped = self.popped, None
        return popped
