"""Writers, one a file format: a scan in, bytes out, with the quirks of the corpora that use the format."""
