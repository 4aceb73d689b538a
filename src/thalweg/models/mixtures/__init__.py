"""Mixtures of simple laws: one around every example, or a few that are fitted."""
