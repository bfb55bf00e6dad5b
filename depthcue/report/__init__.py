"""Tables, figures and pages from results files alone: nothing here needs a net, a data set or torch."""
