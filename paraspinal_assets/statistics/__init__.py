"""Pure statistics: data frames in, typed results out. No Dagster, no files."""
