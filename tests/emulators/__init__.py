"""Strict stand-ins for services that tests cannot reach."""
