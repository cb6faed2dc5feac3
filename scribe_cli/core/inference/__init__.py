"""From a model and data to a Posterior: starts, mode, variational fit, sampling."""
