"""The cue experiments, one a module; `registry.EXPERIMENTS` knows them by name."""
