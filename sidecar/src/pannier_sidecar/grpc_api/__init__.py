"""The gRPC head: Dapr's and Layotto's state services, from HTTP/2 frames to use cases and back."""
