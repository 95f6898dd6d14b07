"""What a file computes: sessions, comparison with the model, inspection."""
