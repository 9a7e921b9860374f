"""How pictures and sound become inputs: from `model.toml`, or from what lies beside or in the model."""
