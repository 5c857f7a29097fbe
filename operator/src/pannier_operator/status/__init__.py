"""What Components' statuses and Events say. Pure."""
