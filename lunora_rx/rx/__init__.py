"""The face: what the core tells, as Observables."""
