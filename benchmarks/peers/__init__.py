"""What our code is measured against, each in a process of its own."""
