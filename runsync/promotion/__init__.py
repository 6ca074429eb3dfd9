"""Promotion: a model from one registry into another, gated, unchanged to the byte, its alias last, and back again."""
