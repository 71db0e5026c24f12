"""What the end-to-end and fault tests run on: the stack as real processes, a wallbox, a proxy that can be cut."""
