"""What goes out to URLs that clients have named: which may be called, and connections to these alone.

Webhooks and inputs by reference share it. The proxy uses `url_policy` alone; `network` needs libraries that
workers import with the first call.
"""
