"""Live queries where they are looked at: one optional library a module, imported lazily."""
