"""HTTP and WebSocket in front of an asynchronous engine; the only place that knows the web framework."""
