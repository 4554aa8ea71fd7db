"""After the prediction: what became of it, how good a model was by that, and which of two models was better."""
