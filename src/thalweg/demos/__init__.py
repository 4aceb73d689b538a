"""Studies of the course: functions that compute a figure, one file for each subject."""
