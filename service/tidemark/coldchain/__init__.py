"""Cold storage: stores business operations, and computes figures from them."""
