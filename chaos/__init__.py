"""What could go wrong, made to go wrong: each hazard with an experiment, each experiment with its control."""
