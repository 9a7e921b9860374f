"""The data model in Redis: names of keys, layout of a record, decoding."""
