"""What a face is before pixels: scans, expressions, landmarks, manifests, splits, geometry."""
