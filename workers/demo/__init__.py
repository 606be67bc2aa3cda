"""The demonstration: a loopback replay of the upstreams with content of our own, and its feeds."""
