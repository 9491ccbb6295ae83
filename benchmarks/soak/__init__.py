"""P15, and runs of hours: one client that is kept busy while what it holds is counted."""
