"""A fuzzer of the whole gateway process: schema-aware frames over real sockets and a real Redis (`make fuzz`)."""
