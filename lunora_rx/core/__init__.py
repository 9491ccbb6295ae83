"""The mind of the client: state machines without clock, randomness, coroutines or I/O."""
