"""The pipelines: each folder one stage, thin over the library; they meet only in the catalog."""
