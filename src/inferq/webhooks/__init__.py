"""Webhooks: which URLs may be called, how messages are signed, and the calls.

All that knows outgoing HTTP is here. The proxy uses `urls` alone; workers also use `courier`, which loads
its libraries with the first delivery.
"""
