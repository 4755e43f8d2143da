"""Names to model files: local paths, the hub and its cache, pinned revisions, the ``auto`` rule."""
