"""Weight sharing: which values a kernel keeps, and training them."""
