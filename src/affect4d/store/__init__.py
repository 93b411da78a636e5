"""Content-addressed storage: what is already made for the same inputs, parameters and code is not made again.

A *key* is a digest of everything a result depends on. A *store* is a folder (or a URL with a local cache) of immutable
entries named by key. An entry is written under a temporary name and renamed into place, so that an entry that exists is
whole. Small versioned manifests name entries; what none of them names can be pruned.
"""

from affect4d.store.content_and_code_digests import (
    KEY_LENGTH,
    code_version,
    content_key,
    file_digest,
    local_digest,
    table_digest,
)
from affect4d.store.content_store import ContentStore, Mirror, StoreFullError, cache_key, cached, cached_folder

__all__ = [
    "KEY_LENGTH",
    "ContentStore",
    "Mirror",
    "StoreFullError",
    "cache_key",
    "cached",
    "cached_folder",
    "code_version",
    "content_key",
    "file_digest",
    "local_digest",
    "table_digest",
]
