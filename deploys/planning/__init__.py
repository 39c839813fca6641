"""What should be: pure functions from settings, a host's facts and the catalogue to a plan."""
