"""Studies: one training varied one thing at a time, over several seeds; what the papers claim, measured."""
