"""Problems: a model and its objective, as players and their losses."""
