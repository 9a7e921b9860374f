"""Webhooks: which URLs may be called, how messages are signed, and the calls.

All that knows outgoing HTTP is here. The proxy uses `url_policy` alone. Workers also use `sender`, and import
its libraries with the first delivery.
"""
