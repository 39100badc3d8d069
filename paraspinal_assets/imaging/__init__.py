"""Pure image functions: arrays in, typed results out. No Dagster, no paths chosen here."""
