"""gRPC serving: transport-free handlers, and thin servicers that convert, call, convert."""
