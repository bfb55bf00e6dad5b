"""Training: a visible loop for depth nets, one for mask nets, on one engine, in run folders that resume exactly."""
