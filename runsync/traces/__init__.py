"""Verbs on traces where they lie: list, show, delete."""
