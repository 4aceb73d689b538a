"""The groups of measures, one file each."""
