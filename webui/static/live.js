// Makes pages move. Without it every page shows the same, once.
