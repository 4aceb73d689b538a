"""What is lost: pure functions, one value per sample."""
