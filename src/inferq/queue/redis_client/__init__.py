"""Connections to Redis or Valkey, scripts, deadlines and outages."""
