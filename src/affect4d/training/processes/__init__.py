"""Training on several processes and hosts: how they are started, what they share, how weights are spread."""
