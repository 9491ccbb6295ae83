"""The demo: a machine's readings, live, through a cut of the connection."""
