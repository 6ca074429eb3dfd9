"""Whole commands between real servers: what arrives, and what happens when it is done again, cut short or narrowed."""
