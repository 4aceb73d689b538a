"""Statistics of arrays, which know no model."""
