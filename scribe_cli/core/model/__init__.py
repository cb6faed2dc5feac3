"""What a model is: its description, and the log density, draws and derived values that follow from it."""
