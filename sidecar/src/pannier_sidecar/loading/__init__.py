"""From component files to open stores, and to other stores when the files change."""
