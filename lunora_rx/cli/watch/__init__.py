"""``lunora-rx watch``: a live query as a table that follows it."""
