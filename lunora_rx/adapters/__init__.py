"""Where live queries are looked at and measured: one optional library a module, imported when it is used."""
