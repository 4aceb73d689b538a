"""Mixtures of simple distributions: one around every example, or a few that are fitted."""
