"""The gRPC front end: Dapr's and Layotto's state services, from HTTP/2 frames to use cases and back."""
