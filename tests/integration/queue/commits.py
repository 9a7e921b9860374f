"""What happens around the commit of a batch."""

from inferq.queue.producer.durability import DurableScripts


def replace_commit(monkeypatch, commit):
    """Calls a coroutine function instead of the script that accepts jobs; it gets what runs the script."""
    run = DurableScripts.run

    async def run_replaced(self, *arguments, **options):
        return await commit(lambda: run(self, *arguments, **options))

    monkeypatch.setattr(DurableScripts, "run", run_replaced)
