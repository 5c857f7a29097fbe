"""The webhooks' HTTPS server and its certificates."""
