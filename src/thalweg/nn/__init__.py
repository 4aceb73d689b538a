"""Blocks with no opinion on the task."""
