"""The pipelines: each folder one part of the way from raw scans to results; they share nothing but the catalog."""
