"""One optional library a module; each is imported when it is used."""
