"""Where blocks and feature rows are kept: ports, their real adapters and a memory twin of each."""
