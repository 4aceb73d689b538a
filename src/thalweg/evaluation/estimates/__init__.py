"""Estimates: values with their interval, unit and kind."""
