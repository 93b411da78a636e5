"""Multi-view rendering of canonical scans: cameras, CPU rasteriser or OpenGL, channels, shards of a whole corpus."""
