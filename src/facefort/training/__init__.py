"""One training loop for every network here: data, losses, recipes, checkpoints."""
