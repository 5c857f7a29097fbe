"""What each app's sidecars should see, as one Secret per app, and when it is written. Pure."""
