"""Run launchers: where a Dagster run, which is one batch of scans, is computed."""
