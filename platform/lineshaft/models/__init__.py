"""Models: labels, training, scoring, gates. XGBoost lives here and nowhere else."""
