"""Requests for predictions in whatever form they come: received, checked, made into submissions."""
