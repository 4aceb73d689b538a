"""The report of a comparison: its rows, charts and page."""
