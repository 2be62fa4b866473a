"""Cold storage: business operations in, figures out."""
