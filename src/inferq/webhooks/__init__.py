"""Webhooks: how messages are signed, and the calls, which go out by `egress`.

Workers import its libraries with the first delivery.
"""
