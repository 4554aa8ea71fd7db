"""What data must be: suites, the checkpoints that hold batches to them, and what is done with what fails."""
