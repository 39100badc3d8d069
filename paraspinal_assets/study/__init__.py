"""The study file, scan keys, and every path, write and table of a study."""
