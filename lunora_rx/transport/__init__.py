"""Ways to reach a server: one file a library, whose exceptions are translated there and nowhere else."""
