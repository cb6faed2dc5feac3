"""From a model and data to a Posterior: starts, mode, variational fit, sampling."""

NOT_NORMAL = "not_normal_"  # before a parameter, in metrics.json: of how many genes a Laplace guide is far from the posterior
