"""From canonical scans to pictures from several sides: cameras, one persistent rasteriser, a whole corpus at once."""
