"""Problems: a model and an objective, as players and losses."""
