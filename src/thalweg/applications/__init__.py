"""What a trained run is used for: functions of an opened run."""
