"""Verbs on evaluation datasets where they lie: list, show, get."""
