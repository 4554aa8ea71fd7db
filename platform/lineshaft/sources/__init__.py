"""Where blocks come from: readers of data sets and of a user's files, a simulated fleet, and the checks on the way."""
